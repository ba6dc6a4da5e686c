// Computes the reference results with viem: reads lines of JSON and writes lines of JSON.
import { createInterface } from "node:readline";
import { keccak256 } from "viem";
import { privateKeyToAccount } from "viem/accounts";

const types = {
  TransferWithAuthorization: [
    { name: "from", type: "address" },
    { name: "to", type: "address" },
    { name: "value", type: "uint256" },
    { name: "validAfter", type: "uint256" },
    { name: "validBefore", type: "uint256" },
    { name: "nonce", type: "bytes32" },
  ],
};

async function judge({ key, transaction, authorization }) {
  const account = privateKeyToAccount(key);
  const raw = await account.signTransaction({
    type: "eip1559",
    chainId: Number(transaction.chainId),
    nonce: Number(transaction.nonce),
    maxPriorityFeePerGas: BigInt(transaction.maxPriorityFee),
    maxFeePerGas: BigInt(transaction.maxFee),
    gas: BigInt(transaction.gas),
    to: transaction.to,
    value: BigInt(transaction.value),
    data: transaction.data,
  });
  const { domain, message } = authorization;
  const signature = await account.signTypedData({
    domain: { ...domain, chainId: Number(domain.chainId) },
    types,
    primaryType: "TransferWithAuthorization",
    message: {
      ...message,
      from: account.address,
      value: BigInt(message.value),
      validAfter: BigInt(message.validAfter),
      validBefore: BigInt(message.validBefore),
    },
  });
  return { address: account.address, raw, hash: keccak256(raw), signature };
}

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await judge(JSON.parse(line))));
}
