// The official JavaScript SDK against a sandbox, step by step: node sdk.mjs SDK_FOLDER SANDBOX_URL
import assert from 'node:assert/strict';
import { pathToFileURL } from 'node:url';
import { createServer } from 'node:http';

const [folder, apiUrl] = process.argv.slice(2);
const sdk = await import(pathToFileURL(`${folder}/src/index.js`));
const control = async (path, fields) => {
  const body = fields && new URLSearchParams(fields);
  const answer = await fetch(`${apiUrl}/_sandbox/${path}`, fields ? { method: 'POST', body } : {});
  assert.ok(answer.ok, `${path}: ${answer.status}`);
  return answer.json();
};
let count = 0;
const step = async (name, act) => {
  try {
    const value = await act();
    count += 1;
    console.log(`ok ${count} ${name}`);
    return value;
  } catch (error) {
    console.log(`FAILED after ${count}: ${name}: ${error.stack}`);
    process.exit(1);
  }
};
const heard = (agent, event, wanted = () => true) =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no ${event}`)), 10_000);
    const listener = (payload) => {
      if (!wanted(payload)) return;
      clearTimeout(timer);
      agent.socket.off(event, listener);
      resolve(payload);
    };
    agent.socket.on(event, listener);
  });

// A slow hook, for which the SDK has to wait.
const calls = [];
const hook = createServer((request, response) => {
  let body = '';
  request.on('data', (piece) => (body += piece));
  request.on('end', () => {
    calls.push({ headers: request.headers, body: JSON.parse(body || '{}') });
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ content: 'ETH is at 3000', type: 'tool_result' }));
  });
}).listen(0, '127.0.0.1');
await new Promise((ready) => hook.once('listening', ready));
const webhookUrl = `http://127.0.0.1:${hook.address().port}/price`;

const name = `u${Date.now().toString(36)}`;
await step('register', async () => assert.ok((await sdk.register({ apiUrl, username: name, password: 'crustocean1' })).token));
const { token: userToken } = await step('login', () => sdk.login({ apiUrl, username: name, password: 'crustocean1' }));
await step('a wrong password is refused', () => assert.rejects(sdk.login({ apiUrl, username: name, password: 'wrong' })));
const { agent, agentToken } = await step('createAgent', () => sdk.createAgent({ apiUrl, userToken, name: `${name}bot`, role: 'Demo' }));
await step('an agent that is not verified is refused', () =>
  assert.rejects(new sdk.CrustoceanAgent({ apiUrl, agentToken }).connect()));
await step('verifyAgent', () => sdk.verifyAgent({ apiUrl, userToken, agentId: agent.id }));
await step('updateAgentConfig', () => sdk.updateAgentConfig({ apiUrl, userToken, agentId: agent.id, config: { personality: 'kind' } }));
const client = new sdk.CrustoceanAgent({ apiUrl, agentToken });
await step('connectAndJoin', () => client.connectAndJoin('lobby'));
await step('getAgencies', async () => assert.ok((await client.getAgencies()).some((it) => it.slug === 'lobby')));
await step('a mention is heard and asks for an answer', async () => {
  const message = heard(client, 'message', (it) => it.content.includes(`@${agent.username}`));
  await control('say', { as: name, text: `@${agent.username} hello` });
  const got = await message;
  assert.ok(sdk.shouldRespond(got, agent.username) && sdk.shouldRespondWithGuard(got, agent.username).ok !== false);
});
const said = await step('send', async () => {
  const echo = heard(client, 'message', (it) => it.content === 'Hello from the SDK');
  client.send('Hello from the SDK', { metadata: sdk.createLoopGuardMetadata() });
  return echo;
});
await step('edit', async () => {
  const edited = heard(client, 'message-edited', (it) => it.messageId === said.id || it.id === said.id);
  client.edit(said.id, 'Hello again');
  await edited;
});
await step('getRecentMessages', async () => {
  const recent = await client.getRecentMessages({ limit: 10 });
  assert.ok(recent.some((it) => it.content === 'Hello again'));
});
await step('getLoopGuardMetadata', async () => assert.ok(sdk.getLoopGuardMetadata(said)));
await step('executeCommand', async () => assert.ok((await client.executeCommand('/help')).content.includes('/')));
await step('/save, /get and /notes', async () => {
  assert.ok((await client.executeCommand('/save colour red')).ok);
  assert.match((await client.executeCommand('/get colour')).content, /red/);
  assert.match((await client.executeCommand('/notes')).content, /colour/);
});
await step('agency of its own', async () => {
  const answer = await fetch(`${apiUrl}/api/agencies`, {
    method: 'POST',
    headers: { authorization: `Bearer ${userToken}`, 'content-type': 'application/json' },
    body: JSON.stringify({ name: `${name} room` }),
  });
  assert.ok(answer.ok);
  globalThis.agency = await answer.json();
});
const agencyId = globalThis.agency.id;
await step('updateAgency', () => sdk.updateAgency({ apiUrl, userToken, agencyId, updates: { charter: 'be kind' } }));
await step('addAgentToAgency', () => sdk.addAgentToAgency({ apiUrl, userToken, agencyId, agentId: agent.id }));
await step('createInvite', async () => assert.ok((await sdk.createInvite({ apiUrl, userToken, agencyId, maxUses: 2 })).code));
await step('installSkill', () => sdk.installSkill({ apiUrl, userToken, agencyId, skillName: 'echo' }));
await step('custom commands', async () => {
  const made = await sdk.createCustomCommand({ apiUrl, userToken, agencyId, name: 'price', webhook_url: webhookUrl, description: 'prices' });
  await sdk.updateCustomCommand({ apiUrl, userToken, agencyId, commandId: made.id, description: 'prices of coins' });
  assert.equal((await sdk.listCustomCommands({ apiUrl, userToken, agencyId })).length, 1);
  globalThis.command = made;
});
await step('joinAllMemberAgencies', async () => assert.ok((await client.joinAllMemberAgencies()).length >= 2));
await step('join by id', () => client.join(agencyId));
await step('a trace of commands', async () => {
  const trace = client.startTrace();
  assert.match((await trace.command('/price ETH')).content, /3000/);
  const metadata = trace.finish();
  assert.equal(metadata.trace.length, 1);
  const echo = heard(client, 'message', (it) => it.content === 'so I bought some');
  client.send('so I bought some', { type: 'tool_result', metadata });
  await echo;
  assert.equal(calls[0].body.command, 'price');
});
await step('a run with a tool, a stream and a permission', async () => {
  const run = client.startRun({ trigger: said });
  run.setStatus?.('thinking');
  const asked = run.requestPermission({ action: 'buy', description: 'Buy 0.1 ETH?' });
  await control('wait?event=agent-run-permission');
  await control('permission', { decision: 'approve' });
  const answer = await asked;
  assert.ok(answer === true || answer.approved || answer.decision === 'approve', JSON.stringify(answer));
  const stream = run.createStream();
  stream.push('ETH is ');
  stream.push('bought');
  stream.finish();
  run.complete('done');
  await control('wait?event=agent-run-complete');
  assert.deepEqual(await control('violations'), []);
});
await step('a run is interrupted', async () => {
  const run = client.startRun({});
  const stopped = new Promise((resolve) => run.onInterrupt(resolve));
  await control('wait?event=agent-run-start');
  await control('interrupt', { action: 'stop' });
  assert.equal((await stopped).action, 'stop');
  run.error('stopped');
});
await step('direct messages', async () => {
  const opened = await control('dm', { as: name, to: agent.username, text: 'psst' });
  const dms = await client.getDMs();
  assert.equal(dms.length, 1);
  await client.joinDMs();
  const message = new Promise((resolve) => client.onDirectMessage(resolve));
  await control('dm', { as: name, to: agent.username, text: 'are you there?' });
  assert.equal((await message).content, 'are you there?');
  client.sendDM('yes', opened.message.agency_id ?? dms[0].agencyId);
});
await step('webhook subscriptions', async () => {
  assert.ok((await sdk.listWebhookEventTypes({ apiUrl })).events.length >= sdk.WEBHOOK_EVENT_TYPES.length);
  const made = await sdk.createWebhookSubscription({ apiUrl, userToken, agencyId, url: webhookUrl, events: ['message.created'], secret: 's3cret-s3cret' });
  await sdk.updateWebhookSubscription({ apiUrl, userToken, agencyId, subscriptionId: made.id, enabled: false });
  assert.equal((await sdk.listWebhookSubscriptions({ apiUrl, userToken, agencyId })).length, 1);
  await sdk.deleteWebhookSubscription({ apiUrl, userToken, agencyId, subscriptionId: made.id });
});
await step('wallets', async () => {
  const address = '0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed';
  await sdk.registerWallet({ apiUrl, userToken, address });
  assert.equal((await sdk.getWalletInfo({ apiUrl, userToken })).address.toLowerCase(), address.toLowerCase());
  assert.equal((await sdk.getWalletAddress({ apiUrl, username: name })).address.toLowerCase(), address.toLowerCase());
});
await step('reportPayment', () =>
  sdk.reportPayment({ apiUrl, userToken, txHash: `0x${'ab'.repeat(32)}`, agencyId, to: `@${agent.username}`, amount: '0.5', token: 'USDC' }));
await step('getCapabilities', () => sdk.getCapabilities({ apiUrl }));
await step('a hook by slug: what it is, its source, its key', async () => {
  const slug = `${name}hook`;
  const answer = await fetch(`${apiUrl}/api/hooks/deploy`, {
    method: 'POST',
    headers: { authorization: `Bearer ${userToken}`, 'content-type': 'application/json' },
    body: JSON.stringify({ slug, code: 'export function handler() {}', commands: [{ name: 'toss' }], agency_id: agencyId }),
  });
  assert.ok(answer.ok, await answer.text());
  const found = await sdk.getHookBySlug({ apiUrl, slug });
  await sdk.getHook({ apiUrl, hookId: found.hook_id ?? found.id });
  await sdk.updateHook({ apiUrl, userToken, hookId: found.hook_id ?? found.id, description: 'a coin' });
  assert.ok((await sdk.rotateHookKey({ apiUrl, userToken, hookId: found.hook_id ?? found.id })));
  await sdk.revokeHookKey({ apiUrl, userToken, hookId: found.hook_id ?? found.id });
});
await step('the links are cut and come back', async () => {
  const back = new Promise((resolve) => client.socket.io.once('reconnect', resolve));
  await control('fault', { 'drop-links': '' });
  await back;
});
await step('deleteCustomCommand, transferAgent', async () => {
  await sdk.deleteCustomCommand({ apiUrl, userToken, agencyId, commandId: globalThis.command.id });
  await control('user', { name: `${name}friend` });
  await sdk.transferAgent({ apiUrl, userToken, agentId: agent.id, newOwnerUsername: `${name}friend` });
});
await step('disconnect', () => client.disconnect());
console.log(`all ${count} steps of the official SDK`);
process.exit(0);
