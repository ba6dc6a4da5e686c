// The official x402 packages as server and facilitator. Arguments: the URL of the chain, its name in version 1.
// Prints {"url":…}.
//   GET  /two/PRICE    version 2, PRICE like $0.01
//   POST /two/echo     version 2, answers with the body
//   GET  /one/UNITS    version 1, UNITS like 10000
//   GET  /free         nothing to pay
import express from "express";
import { createWalletClient, http, publicActions } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { base, baseSepolia } from "viem/chains";
import { x402Facilitator } from "@x402/core/facilitator";
import { toFacilitatorEvmSigner } from "@x402/evm";
import { ExactEvmScheme as ExactFacilitator } from "@x402/evm/exact/facilitator";
import { ExactEvmScheme as ExactServer } from "@x402/evm/exact/server";
import { ExactEvmSchemeV1 as ExactFacilitatorV1 } from "@x402/evm/exact/v1/facilitator";
import { paymentMiddleware, x402ResourceServer } from "@x402/express";

const [rpc, name] = process.argv.slice(2);
const chain = name === "base" ? base : baseSepolia;
const network = `eip155:${chain.id}`;
const asset =
  name === "base" ? "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913" : "0x036CbD53842c5426634e7929541eC2318f3dCF7e";
const domain = { name: name === "base" ? "USD Coin" : "USDC", version: "2" };
const payTo = "0x0000000000000000000000000000000000000402";

// The first account of anvil sends the payments to the chain.
const account = privateKeyToAccount("0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80");
const client = createWalletClient({ account, chain, transport: http(rpc) }).extend(publicActions);
const signer = toFacilitatorEvmSigner({
  address: account.address,
  readContract: (args) => client.readContract(args),
  verifyTypedData: (args) => client.verifyTypedData(args),
  writeContract: (args) => client.writeContract(args),
  sendTransaction: (args) => client.sendTransaction(args),
  waitForTransactionReceipt: (args) => client.waitForTransactionReceipt({ ...args, pollingInterval: 50 }),
  getCode: (args) => client.getCode(args),
});
const facilitator = new x402Facilitator()
  .register(network, new ExactFacilitator(signer))
  .registerV1(name, new ExactFacilitatorV1(signer));
const facilitatorClient = {
  verify: (payload, requirements) => facilitator.verify(payload, requirements),
  settle: (payload, requirements) => facilitator.settle(payload, requirements),
  getSupported: async () => facilitator.getSupported(),
};

// Ends when the test closes its input.
process.stdin.resume().on("end", () => process.exit());

const app = express();
app.use(express.text({ type: "*/*" }));
const accepts = (price) => ({ scheme: "exact", price, network, payTo });
const server = new x402ResourceServer(facilitatorClient).register(network, new ExactServer());
app.use(
  paymentMiddleware(
    {
      "GET /two/cheap": { accepts: accepts("$0.001"), description: "cheap", mimeType: "text/plain" },
      "GET /two/dear": { accepts: accepts("$5"), description: "dear" },
      "POST /two/echo": { accepts: accepts("$0.002") },
    },
    server,
  ),
);
app.get("/two/{*path}", (_, response) => response.send("paid"));
app.post("/two/echo", (request, response) => response.send(request.body));
app.get("/free", (_, response) => response.send("free"));

// These packages have no server for version 1, but a facilitator that verifies and collects.
app.get("/one/:units", async (request, response) => {
  const requirements = {
    scheme: "exact",
    network: name,
    maxAmountRequired: request.params.units,
    resource: `http://${request.headers.host}${request.originalUrl}`,
    description: "version 1",
    mimeType: "text/plain",
    payTo,
    maxTimeoutSeconds: 60,
    asset,
    extra: domain,
  };
  const refuse = (error) => response.status(402).json({ x402Version: 1, error, accepts: [requirements] });
  const header = request.get("x-payment");
  if (!header) return refuse("X-PAYMENT header is required");
  const payment = JSON.parse(Buffer.from(header, "base64").toString());
  const verified = await facilitator.verify(payment, requirements);
  if (!verified.isValid) return refuse(verified.invalidReason);
  const settled = await facilitator.settle(payment, requirements);
  if (!settled.success) return refuse(settled.errorReason);
  response.set("x-payment-response", Buffer.from(JSON.stringify(settled)).toString("base64")).send("paid");
});

const listening = app.listen(0, "127.0.0.1", () =>
  console.log(JSON.stringify({ url: `http://127.0.0.1:${listening.address().port}` })),
);
