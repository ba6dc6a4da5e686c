// As `bench-client` does it: `node load.mjs <events|acks|join|many> <url> [numbers]`.
import { readFileSync } from "node:fs";
import { io } from "socket.io-client";

const [what, url, first, second] = process.argv.slice(2);
const room = "4f0c8e4e-7d1b-4a61-9a6e-0c5f3b1d2a90";
const count = Number(first ?? 1);

const status = (name) => Number(readFileSync("/proc/self/status", "utf8").match(new RegExp(`${name}:\\s+(\\d+)`))[1]);
const join = () =>
  new Promise((resolve) => {
    const socket = io(url, { transports: ["websocket"], auth: { token: "sk_bench" }, forceNew: true });
    socket.once("agency-joined", () => resolve(socket));
    socket.on("connect", () => socket.emit("join-agency", { agencyId: room }));
  });
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

if (what === "join") {
  await fetch(`${url}/api/auth/agent`, { method: "POST", body: JSON.stringify({ agentToken: "sk_bench" }) }).then((r) => r.json());
  await fetch(`${url}/api/agencies`).then((r) => r.json());
  await fetch(`${url}/api/agencies/${room}/messages?limit=1`).then((r) => r.json());
}
const socket = await join();
if (what === "events") {
  const before = process.cpuUsage();
  const started = process.hrtime.bigint();
  let left = count;
  await new Promise((resolve) => {
    socket.on("message", (message) => {
      if (!message.content) throw new Error("empty");
      if (--left === 0) resolve();
    });
    socket.emit("flood", { count, size: Number(second) });
  });
  const seconds = Number(process.hrtime.bigint() - started) / 1e9;
  const { user, system } = process.cpuUsage(before);
  console.log(`rate=${count / seconds} cpu=${(user + system) / 1e6 / count}`);
} else if (what === "acks") {
  const times = [];
  for (let n = 0; n < count + 200; n++) {
    const started = process.hrtime.bigint();
    await socket.emitWithAck("send-message", { agencyId: room, content: "/dice 6" });
    if (n >= 200) times.push(Number(process.hrtime.bigint() - started) / 1e3);
  }
  times.sort((a, b) => a - b);
  console.log(`p50=${times[count >> 1]} p99=${times[Math.floor((count * 99) / 100)]}`);
} else if (what === "join") {
  console.log("joined");
  for await (const _ of process.stdin);
} else if (what === "many") {
  await sleep(500);
  const before = status("VmRSS");
  for (let n = 0; n < count; n += 25) await Promise.all(Array.from({ length: Math.min(25, count - n) }, join));
  await sleep(3000);
  console.log(`each=${(status("VmRSS") - before) / count} threads=${status("Threads") / (count + 1)}`);
}
process.exit(0);
