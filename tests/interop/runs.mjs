// Checks that an agent's run events have the documented fields and order.

const text = (value) => typeof value === "string";
const orNull = (check) => (value) => value === null || check(value);
const base = { runId: text, agencyId: text, agentId: text, username: text, displayName: text };
const oneOf = (...values) => (value) => values.includes(value);
const duration = (value) => text(value) && /^\d+ms$/.test(value);
const given = (value) => value !== undefined;

const events = {
  start: { triggerMessageId: orNull(text) },
  status: { status: text },
  "tool-call": { toolCallId: text, tool: text, input: given, status: oneOf("running") },
  "tool-result": { toolCallId: text, tool: text, output: given, duration, status: oneOf("done", "error") },
  stream: { messageId: text, content: text, done: oneOf(true, false) },
  permission: { permissionId: text, action: text, description: text },
  complete: { summary: text, transcript: Array.isArray },
  error: { error: text, transcript: Array.isArray },
};

const entries = {
  start: { triggerMessageId: orNull(text) },
  status: { status: text },
  "tool-call": { toolCallId: text, tool: text, input: given },
  "tool-result": { toolCallId: text, tool: text, output: given, duration, status: oneOf("done", "error") },
  "stream-start": { messageId: text },
  "stream-end": { messageId: text, contentLength: Number.isInteger },
  "permission-request": { permissionId: text, action: text, description: text },
  "permission-response": { permissionId: text, decision: text, message: orNull(text) },
  interrupt: { action: text, message: orNull(text) },
  complete: { summary: text },
  error: { message: text },
};

/** The fields of `value` that are not as they should be. */
const wrong = (value, fields) => Object.keys(fields).filter((key) => !fields[key](value[key]));

const runs = new Map();

/** What is wrong with an event of `who`. */
export function violations(who, event, payload) {
  const kind = event.replace(/^agent-run-/, "");
  if (!events[kind]) return [`${event} is not documented`];
  const found = wrong(payload, { ...base, ...events[kind] }).map((key) => `${event} without a good ${key}`);
  if (payload.agentId !== who.id || payload.username !== who.username) found.push(`${event} of somebody else`);

  const say = (what) => found.push(`${event} ${what}`);
  if (!runs.has(payload.runId) !== (kind === "start")) say("at the wrong moment");
  if (!runs.has(payload.runId)) runs.set(payload.runId, { open: new Set(), content: new Map(), over: false });
  const run = runs.get(payload.runId);
  if (run.over) say("after the end");
  if (kind === "tool-call") run.open.add(payload.toolCallId);
  if (kind === "tool-result" && !run.open.delete(payload.toolCallId)) say("without its call");
  if (kind === "stream") {
    const before = run.content.get(payload.messageId) ?? "";
    if (before === null) say("after its last");
    else if (!payload.done && before + payload.delta !== payload.content) say("with a delta that does not fit");
    run.content.set(payload.messageId, payload.done ? null : payload.content);
  }
  if (kind === "complete" || kind === "error") {
    run.over = true;
    if (run.open.size) say("with a tool that still runs");
    if ([...run.content.values()].some((content) => content !== null)) say("with a stream that is not done");
    found.push(...checkTranscript(kind, payload.transcript ?? []));
  }
  return found;
}

function checkTranscript(end, transcript) {
  const found = [];
  if (transcript[0]?.type !== "start" || transcript.at(-1)?.type !== end) found.push("a transcript without its ends");
  let last = 0;
  for (const entry of transcript) {
    if (!Number.isInteger(entry.ts) || entry.ts < last) found.push(`${entry.type} at ${entry.ts}`);
    last = entry.ts;
    const bad = wrong(entry, entries[entry.type] ?? {});
    found.push(...bad.map((key) => `the entry ${entry.type} without a good ${key}`));
  }
  return found;
}
