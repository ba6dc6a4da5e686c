// Makes the measurements of `bench-client` with socket.io-client: `node load.mjs <events|acks|join|many> <url>
// [numbers]`.
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
// Makes the steps of `steps.rs`, in the same order, as a bot with these two libraries makes them.
async function steps(url, agentToken, busy) {
  const times = [];
  const timed = async (step) => {
    const started = performance.now();
    const result = await step();
    times.push((performance.now() - started).toFixed(1));
    return result;
  };
  let token;
  const get = (path) => fetch(`${url}/api/${path}`, { headers: { authorization: `Bearer ${token}` } }).then((r) => r.json());
  const socket = await timed(async () => {
    const answer = await fetch(`${url}/api/auth/agent`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ agentToken }),
    });
    token = (await answer.json()).token;
    const socket = io(url, { transports: ["websocket"], auth: { token }, reconnectionDelay: 0, randomizationFactor: 0 });
    await new Promise((resolve) => socket.once("connect", resolve));
    return socket;
  });
  const joinRoom = (id) =>
    new Promise((resolve) => {
      const listen = (joined) => {
        if (joined.agencyId !== id) return;
        socket.off("agency-joined", listen);
        resolve();
      };
      socket.on("agency-joined", listen);
      socket.emit("join-agency", { agencyId: id });
    });
  const lobby = await timed(async () => {
    const all = await get("agencies");
    const lobby = all.find((agency) => agency.slug === "lobby").id;
    await joinRoom(lobby);
    return lobby;
  });
  await timed(() => get(`agencies/${lobby}/messages?limit=20`));
  const rooms = await timed(async () => {
    const mine = (await get("agencies")).filter((agency) => agency.isMember || agency.is_member).map((agency) => agency.id);
    const more = mine.filter((id) => id !== lobby);
    await Promise.all(more.map(joinRoom));
    return [lobby, ...more];
  });
  await timed(async () => {
    const page = await get(`agencies/${busy}/messages?limit=100`);
    await get(`agencies/${busy}/messages?limit=20&before=${encodeURIComponent(page.at(-1).created_at)}`);
  });
  await timed(() => {
    const heard = new Promise((resolve) => socket.once("message", resolve));
    socket.emit("send-message", { agencyId: lobby, content: "hello" });
    return heard;
  });
  await timed(() => socket.emitWithAck("send-message", { agencyId: lobby, content: "/roll 2d6" }));
  const lost = new Promise((resolve) => socket.once("disconnect", resolve));
  console.log("cut");
  await lost;
  await timed(async () => {
    await new Promise((resolve) => socket.once("connect", resolve));
    await Promise.all(rooms.map(joinRoom));
  });
  console.log(times.join(" "));
}
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

if (what === "steps") {
  await steps(url, first, second);
  process.exit(0);
}
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
