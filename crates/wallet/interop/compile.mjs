// Prints the runtime code of Usdc.sol.
import { readFileSync } from "node:fs";
import solc from "solc";

const source = readFileSync(new URL("Usdc.sol", import.meta.url), "utf8");
const output = JSON.parse(
  solc.compile(
    JSON.stringify({
      language: "Solidity",
      sources: { "Usdc.sol": { content: source } },
      settings: { outputSelection: { "*": { "*": ["evm.deployedBytecode.object"] } }, evmVersion: "cancun" },
    }),
  ),
);
const errors = (output.errors ?? []).filter((error) => error.severity === "error");
if (errors.length) throw new Error(errors.map((error) => error.formattedMessage).join("\n"));
console.log(`0x${output.contracts["Usdc.sol"].Usdc.evm.deployedBytecode.object}`);
