// Implements enough of Crustocean for one agent, on the official Socket.IO server.
//
// `src/lib.rs` starts this program with the options as one JSON argument. It listens on a free port of 127.0.0.1 and
// prints the port in its first line. After that, it reads one JSON command per line from stdin and writes one JSON
// answer per line to stdout. It ends with its stdin, so that it never outlives the test.

import { createServer } from "node:http";
import { randomBytes, randomUUID } from "node:crypto";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { Server } from "socket.io";
import { violations } from "./runs.mjs";

const options = {
  pingInterval: 25000,
  pingTimeout: 20000,
  connectTimeout: 45000,
  connectionStateRecovery: false, // true, or { maxDisconnectionDuration, skipMiddlewares }
  transports: ["polling", "websocket"],
  authDelayMs: 0, // how long the middleware takes to check a token
  refuseSockets: false, // even with a valid token
  joinDelayMs: 0,
  metadataAs: "object", // or "string": how `metadata` leaves the server
  lifetimeMs: 300000,
  users: [{ id: "usr-alice", username: "alice", displayName: "Alice", type: "user" }],
  agents: [
    { id: "agent-1", username: "mybot", displayName: "My Bot", token: "sk_interop", verified: true },
    { id: "agent-2", username: "newbot", displayName: "New Bot", token: "sk_unverified", verified: false },
  ],
  agencies: [
    { id: "ag-lobby", slug: "lobby", name: "Lobby", members: ["usr-alice", "agent-1"] },
    { id: "ag-den", slug: "the-den", name: "The Den", members: ["usr-alice", "agent-1"] },
    { id: "ag-vault", slug: "vault", name: "Vault", members: ["usr-alice"] },
    { id: "dm-1", dm: true, members: ["usr-alice", "agent-1"] },
  ],
  ...JSON.parse(process.argv[2] ?? "{}"),
};
setTimeout(() => process.exit(3), options.lifetimeMs).unref();

// ---- the world ------------------------------------------------------------------------------------------

const people = new Map();
for (const user of options.users) people.set(user.id, { type: "user", ...user });
for (const agent of options.agents) people.set(agent.id, { type: "agent", ...agent });
const agencies = new Map(options.agencies.map((agency) => [agency.id, agency]));
const messages = []; // oldest first
const sessions = new Map(); // session token -> who
const log = []; // everything clients did, in order
const failures = []; // answers to give instead of the usual ones
let agentTokensRefused = false;
let denied = 0; // Engine.IO handshakes still to be refused
let lastStamp = 0;

/** Strictly increasing, so that the order of two messages shows in their times. */
function stamp() {
  lastStamp = Math.max(Date.now(), lastStamp + 1);
  return new Date(lastStamp).toISOString();
}

const note = (kind, entry) => log.push({ n: log.length, at: Date.now(), kind, ...entry });
const person = ({ id, username, displayName, type }) => ({
  id, username, displayName, display_name: displayName, type, avatar: null, description: null,
});
const byName = (name) => [...people.values()].find((one) => one.username === name);
const isMember = (agency, who) => agency?.members.includes(who.id) ?? false;
const members = (agency) => agency.members.map((id) => person(people.get(id)));

function store(agency, sender, { content, type = "chat", metadata = {} }) {
  const message = {
    id: randomUUID(),
    agency_id: agency.id,
    content,
    type,
    metadata: options.metadataAs === "string" ? JSON.stringify(metadata) : metadata,
    created_at: stamp(),
    sender_id: sender.id,
    sender_username: sender.username,
    sender_display_name: sender.displayName,
    sender_type: sender.type,
    dm: agency.dm === true,
  };
  messages.push(message);
  return message;
}

// ---- REST -----------------------------------------------------------------------------------------------

const fail = (status, error) => ({ status, body: { error } });
const history = (agency, query) => ({
  body: messages
    .filter((message) => message.agency_id === agency.id)
    .filter((message) => !query.has("before") || message.created_at < query.get("before"))
    .filter((message) => !query.has("mentions") || message.content.includes(`@${query.get("mentions")}`))
    .reverse()
    .slice(0, Math.min(Number(query.get("limit") ?? 50), 100)),
});

/** A handler each; the groups of the pattern follow the request. */
const routes = [
  ["POST", /^\/api\/auth\/agent$/, ({ body }) => {
    if (typeof body?.agentToken !== "string") return fail(400, "agentToken is required");
    const agent = options.agents.find((one) => one.token === body.agentToken);
    if (!agent || agentTokensRefused) return fail(401, "Invalid agent token");
    if (!agent.verified) return fail(403, "Agent not verified");
    const token = randomBytes(32).toString("hex");
    sessions.set(token, people.get(agent.id));
    return { body: { token, user: person(people.get(agent.id)) } };
  }],
  ["GET", /^\/api\/auth\/me$/, ({ who }) => ({ body: person(who) })],
  ["GET", /^\/api\/agencies$/, ({ who }) => ({
    body: [...agencies.values()].filter((agency) => !agency.dm).map((agency) => ({
      id: agency.id, name: agency.name, slug: agency.slug, charter: agency.charter ?? "",
      isMember: isMember(agency, who), is_private: false, member_count: agency.members.length,
    })),
  })],
  ["GET", /^\/api\/agencies\/([^/]+)\/messages$/, ({ who, query }, id) => {
    const agency = agencies.get(id);
    if (!agency) return fail(404, "Agency not found");
    return isMember(agency, who) ? history(agency, query) : fail(403, "Not a member of this agency");
  }],
  ["GET", /^\/api\/agencies\/([^/]+)\/members$/, (_, id) =>
    agencies.has(id) ? { body: members(agencies.get(id)) } : fail(404, "Agency not found")],
  ["GET", /^\/api\/dm$/, ({ who }) => ({
    body: [...agencies.values()].filter((agency) => agency.dm && isMember(agency, who)).map((agency) => ({
      agencyId: agency.id,
      participant: person(people.get(agency.members.find((id) => id !== who.id))),
    })),
  })],
  ["POST", /^\/api\/dm\/([^/]+)$/, ({ who }, id) => {
    if (!people.has(id)) return fail(404, "User not found");
    let agency = [...agencies.values()].find(
      (one) => one.dm && isMember(one, who) && isMember(one, { id }));
    if (!agency) {
      agency = { id: randomUUID(), dm: true, members: [id, who.id] };
      agencies.set(agency.id, agency);
    }
    return { body: { agencyId: agency.id } };
  }],
  ["GET", /^\/api\/dm\/([^/]+)\/messages$/, ({ who, query }, id) =>
    isMember(agencies.get(id), who) ? history(agencies.get(id), query) : fail(404, "Conversation not found")],
  ["GET", /^\/api\/users\/([^/]+)$/, (_, name) =>
    byName(name) ? { body: person(byName(name)) } : fail(404, "User not found")],
];

function answer(request) {
  const planned = failures.find((one) =>
    one.times > 0 && one.method === request.method && one.path === request.path);
  if (planned) {
    planned.times -= 1;
    return planned;
  }
  for (const [method, pattern, handler] of routes) {
    const match = method === request.method && pattern.exec(request.path);
    if (!match) continue;
    const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? "")?.[1];
    request.who = sessions.get(token);
    if (!request.who && request.path !== "/api/auth/agent") return fail(401, "Invalid or expired token");
    return handler(request, ...match.slice(1).map(decodeURIComponent));
  }
  return fail(404, `No such route: ${request.method} ${request.path}`);
}

const http = createServer(async (req, res) => {
  let text = "";
  for await (const chunk of req) text += chunk;
  const url = new URL(req.url, "http://localhost");
  let body = null;
  try {
    if (text) body = JSON.parse(text);
  } catch {
    body = text;
  }
  note("http", { method: req.method, path: url.pathname, query: url.search, headers: req.headers, body });
  const reply = answer({
    method: req.method, path: url.pathname, query: url.searchParams, headers: req.headers, body,
  });
  const isText = typeof reply.body === "string";
  res.writeHead(reply.status ?? 200, {
    "content-type": isText ? "text/html" : "application/json", ...reply.headers,
  });
  res.end(isText ? reply.body : JSON.stringify(reply.body));
});

// ---- real time ------------------------------------------------------------------------------------------

const io = new Server(http, {
  pingInterval: options.pingInterval,
  pingTimeout: options.pingTimeout,
  connectTimeout: options.connectTimeout,
  transports: options.transports,
  serveClient: false,
  ...(options.connectionStateRecovery && {
    connectionStateRecovery: options.connectionStateRecovery === true ? {} : options.connectionStateRecovery,
  }),
  allowRequest: (req, callback) => {
    const allowed = denied === 0;
    if (!allowed) denied -= 1;
    note("handshake", { url: req.url, headers: req.headers, allowed });
    callback(allowed ? null : "turned away", allowed);
  },
});

// The received packets, before Socket.IO decodes them.
io.engine.on("connection", (engine) => {
  engine.on("packet", ({ type, data }) => note("packet", { engine: engine.id, type, data: printable(data) }));
  engine.on("close", (reason) => note("engine-close", { engine: engine.id, reason }));
});

io.use(async (socket, next) => {
  if (options.authDelayMs) await sleep(options.authDelayMs);
  const who = sessions.get(socket.handshake.auth.token);
  if (who && !options.refuseSockets) {
    socket.data.who = who;
    return next();
  }
  note("refused", { auth: socket.handshake.auth });
  const refusal = new Error("Invalid or expired token");
  refusal.data = { code: "UNAUTHORIZED" };
  next(refusal);
});

io.on("connection", (socket) => {
  const { who } = socket.data;
  const { auth, headers, query } = socket.handshake;
  note("connect", {
    sid: socket.id, engine: socket.conn.id, transport: socket.conn.transport.name, who: who.id,
    recovered: socket.recovered, auth, headers, query,
  });
  socket.on("disconnect", (reason) => note("disconnect", { sid: socket.id, reason }));
  socket.onAny((event, ...args) => {
    const ack = typeof args.at(-1) === "function";
    note("event", { sid: socket.id, event, args: printable(ack ? args.slice(0, -1) : args), ack });
  });
  const refuse = (message) => socket.emit("error", { message });

  socket.on("join-agency", async ({ agencyId } = {}) => {
    if (options.joinDelayMs) await sleep(options.joinDelayMs);
    const agency = agencies.get(agencyId);
    if (!agency) return refuse("Agency not found");
    if (!isMember(agency, who)) return refuse("Not a member of this agency");
    socket.join(agencyId);
    socket.emit("agency-joined", { agencyId, members: members(agency) });
  });

  socket.on("send-message", (message = {}, ack) => {
    const agency = agencies.get(message.agencyId);
    if (!agency || !socket.rooms.has(agency.id)) return refuse("You have not joined this agency");
    if (typeof message.content !== "string" || !message.content.trim()) return refuse("Message is empty");
    if (message.content.startsWith("/") && !agency.dm) return command(socket, agency, message, ack);
    io.to(agency.id).emit("message", store(agency, who, message)); // only commands are acknowledged
  });

  socket.on("edit-message", ({ agencyId, messageId, content } = {}) => {
    const message = messages.find((one) => one.id === messageId && one.agency_id === agencyId);
    if (!message) return refuse("Message not found");
    if (message.sender_id !== who.id) return refuse("You can only edit your own messages");
    edit(message, content);
  });

  // Run events of agents are relayed. A finished stream becomes a message.
  socket.onAny((event, payload = {}) => {
    if (event !== "agent-thinking" && !event.startsWith("agent-run-")) return;
    const agency = agencies.get(payload.agencyId);
    if (!agency || !socket.rooms.has(agency.id)) return refuse("You have not joined this agency");
    if (event !== "agent-thinking") {
      for (const what of violations(who, event, payload)) note("violation", { what, payload });
    }
    socket.to(agency.id).emit(event, payload);
    if (event !== "agent-run-stream" || !payload.done) return;
    const metadata = { ...payload.metadata, run_id: payload.runId };
    const message = store(agency, who, { content: payload.content, metadata });
    message.id = payload.messageId;
    io.to(agency.id).emit("message", message);
  });
});

function edit(message, content) {
  Object.assign(message, { content, edited_at: stamp() });
  const { id: messageId, metadata, edited_at } = message;
  io.to(message.agency_id).emit("message-edited", { messageId, content, metadata, edited_at });
}

const system = { id: "system", username: "system", displayName: "System", type: "user" };

async function command(socket, agency, { content, silent }, ack) {
  const [, name, args = ""] = /^\/(\S*)\s*([\s\S]*)$/.exec(content);
  const result = { ok: true, command: name, content: args, type: "system" };
  let slow;
  if (name === "mute") return; // never answers
  else if (name === "echo") await sleep(Number(/^\d+$/.exec(args) ?? 0)); // `/echo 50` takes 50 ms
  else if (name === "queued") Object.assign(result, { content: "", queued: true });
  else if (name === "slow") {
    slow = store(agency, system, { content: "<spinner>working</spinner>", type: "tool_result" });
    Object.assign(result, { content: slow.content, type: slow.type, messageId: slow.id });
  } else Object.assign(result, { ok: false, content: `Unknown command: /${name}`, ephemeral: true });
  if (slow) io.to(agency.id).emit("message", slow);
  else if (!silent) {
    const post = store(agency, system, { content: result.content, type: "system" });
    io.to(agency.id).emit("message", post);
    result.messageId = post.id;
  }
  if (typeof ack === "function") ack(result);
  if (slow) setTimeout(() => edit(slow, "done"), 200);
}

// ---- the test's side ------------------------------------------------------------------------------------

/** JSON has no bytes: they travel as `{"$binary": base64}` on the control channel. */
function printable(value) {
  if (Buffer.isBuffer(value)) return { $binary: value.toString("base64") };
  if (Array.isArray(value)) return value.map(printable);
  if (value && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, printable(item)]));
  }
  return value;
}

function sendable(value) {
  if (Array.isArray(value)) return value.map(sendable);
  if (value && typeof value === "object") {
    if (typeof value.$binary === "string") return Buffer.from(value.$binary, "base64");
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, sendable(item)]));
  }
  return value;
}

/** All sockets, or those with this id, in this room, or of this person. */
const sockets = (to) => [...io.sockets.sockets.values()].filter((socket) =>
  to == null || socket.id === to || socket.rooms.has(to) || socket.data.who.id === to);

const commands = {
  events: ({ from = 0, kinds }) => ({
    next: log.length,
    events: log.slice(from).filter(({ kind }) => !kinds || kinds.includes(kind)),
  }),
  stats: () => ({
    engines: io.engine.clientsCount,
    sockets: io.sockets.sockets.size,
    rooms: Object.fromEntries(sockets().map((socket) => [socket.id, [...socket.rooms]])),
  }),
  // A member posts a message. With `unheard` the message is only in the history, as if nobody had been connected.
  say: ({ agency: id, from, unheard, ...message }) => {
    const stored = store(agencies.get(id), byName(from) ?? system, message);
    if (!unheard) io.to(id).emit("message", stored);
    return { message: stored };
  },
  // A JSON command cannot contain these values here: half of a surrogate pair, and an object 300 levels deep.
  oddity: ({ agency }) => {
    let deep = {};
    for (let level = 0; level < 300; level += 1) deep = { deep };
    const alice = byName("alice");
    io.to(agency).emit("message", store(agencies.get(agency), alice, { content: "half \ud83e" }));
    io.to(agency).emit("message", store(agencies.get(agency), alice, { content: "deep", metadata: deep }));
  },
  // Sends any event with any arguments. With `ackMs`, it sends the event to one socket and waits for its
  // acknowledgement.
  emit: async ({ to, event, args = [], ackMs }) => {
    if (ackMs) {
      const ack = await sockets(to)[0].timeout(ackMs).emitWithAck(event, ...sendable(args));
      return { ack: printable(ack) };
    }
    // The event goes to the room, not to each socket, so that recovery replays it to clients that are away.
    if (to == null || agencies.has(to)) (to == null ? io : io.to(to)).emit(event, ...sendable(args));
    else for (const socket of sockets(to)) socket.emit(event, ...sendable(args));
  },
  invite: ({ agent, agency }) => {
    if (!agencies.has(agency.id)) agencies.set(agency.id, { members: [], ...agency });
    agencies.get(agency.id).members.push(agent);
    const payload = { agencyId: agency.id, agency: { id: agency.id, name: agency.name, slug: agency.slug } };
    for (const socket of sockets(agent)) socket.emit("agency-invited", payload);
  },
  // Ends a membership without an event, as for a deleted account or a closed room.
  remove: ({ agent, agency }) => {
    agencies.get(agency).members = agencies.get(agency).members.filter((id) => id !== agent);
  },
  // With `close: false`, only the namespace ends, and the connection stays open. With `true`, the connection ends, too.
  disconnect: ({ to, close = false }) => sockets(to).forEach((socket) => socket.disconnect(close)),
  // Ends the connection without a Socket.IO packet, with a WebSocket close frame or without one.
  "kill-engine": ({ to, gently = false }) => sockets(to).forEach(({ conn }) => {
    const ws = conn.transport.name === "websocket" && conn.transport.socket;
    if (ws && !gently) ws.terminate();
    else conn.close();
  }),
  // Refuses all session tokens issued so far. With `agents`, it also refuses agent tokens.
  expire: ({ agents = false }) => {
    sessions.clear();
    agentTokensRefused = agents;
  },
  // The server answers the next Engine.IO handshakes with an HTTP error.
  deny: ({ times }) => void (denied = times),
  // Sets the next answers to this REST call.
  fail: ({ method, path, status, body, headers, times = 1 }) =>
    void failures.push({ method, path, status, body, headers, times }),
};

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

http.listen(0, "127.0.0.1", () => say({ port: http.address().port }));
createInterface({ input: process.stdin })
  .on("line", async (line) => {
    let id;
    try {
      const request = JSON.parse(line);
      id = request.id;
      if (!Object.hasOwn(commands, request.cmd)) throw new Error(`no such command: ${request.cmd}`);
      say({ id, ...(await commands[request.cmd](request)) });
    } catch (error) {
      say({ id, error: String(error?.message ?? error) });
    }
  })
  .on("close", () => process.exit(0));
