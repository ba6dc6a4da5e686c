// Every command of the official CLI against a sandbox, as text and as JSON: node cli.mjs CLI_FOLDER SANDBOX_URL
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const [folder, apiUrl] = process.argv.slice(2);
const home = mkdtempSync(join(tmpdir(), 'crustocean-cli-'));
let count = 0;
const failures = [];

/** Runs one command with another home; `json` adds --json and gives what it prints. */
async function cli(words, { json = false, fails = false, token } = {}) {
  const args = [`${folder}/bin/crustocean.js`, '--api-url', apiUrl, '--no-color'];
  if (json) args.push('--json');
  if (token) args.push('--token', token);
  const env = { PATH: process.env.PATH, HOME: home };
  const [error, out, err] = await new Promise((resolve) =>
    execFile(process.execPath, [...args, ...words], { env, timeout: 30_000 }, (...all) => resolve(all)));
  count += 1;
  const ok = fails ? Boolean(error) : !error;
  if (!ok) failures.push(`${words.join(' ')}: ${error ? error.code : 'did not fail'}\n${out}${err}`);
  console.log(`${ok ? 'ok' : 'FAILED'} ${count} ${words.join(' ')}${json ? ' --json' : ''}`);
  if (!json || error) return out;
  try {
    return JSON.parse(out);
  } catch {
    failures.push(`${words.join(' ')}: no JSON: ${out}`);
    return {};
  }
}
/** As text and as JSON: for what changes nothing. */
async function both(...words) {
  await cli(words);
  return cli(words, { json: true });
}
const first = (list) => (Array.isArray(list) ? list : Object.values(list).find(Array.isArray))[0];
async function control(path, fields) {
  const answer = await fetch(`${apiUrl}/_sandbox/${path}`, { method: 'POST', body: new URLSearchParams(fields) });
  return answer.json();
}

const name = `c${Date.now().toString(36)}`;
const friend = `${name}f`;
await control('user', { name: friend });
await cli(['auth', 'register', '-u', name, '-p', 'crustocean1', '-d', 'Cli'], { json: true });
await cli(['auth', 'login', '-u', name, '-p', 'wrong'], { fails: true });
await cli(['auth', 'login', '-u', name, '-p', 'crustocean1']);
await both('auth', 'whoami');
await both('auth', 'status');
await cli(['auth', 'change-password', '--current', 'nonsense', '--new', 'crustocean2'], { fails: true });
await cli(['auth', 'change-password', '--current', 'crustocean1', '--new', 'crustocean2']);
await cli(['auth', 'login', '-u', name, '-p', 'crustocean2']);
const token = await cli(['auth', 'create-token', '--name', 'ci', '--expires', '30d'], { json: true });
await cli(['auth', 'whoami'], { token: token.token ?? token.pat?.token });
await both('auth', 'list-tokens');
await cli(['auth', 'revoke-token', token.id ?? token.pat?.id, '-y']);

const agency = await cli(['agency', 'create', `${name} room`, '--charter', 'be kind'], { json: true });
const hidden = await cli(['agency', 'create', `${name} den`, '--private'], { json: true });
await both('agency', 'list');
await cli(['agency', 'update', agency.id, '--charter', 'be kinder', '--public']);
await both('agency', 'lookup', agency.slug);
await both('agency', 'members', agency.id);
await control('say', { room: agency.id, as: friend, text: 'hello' });
await both('agency', 'messages', agency.id, '--limit', '5');
const invite = await cli(['agency', 'invite', hidden.id, '--max-uses', '2', '--expires', '7d'], { json: true });
const { token: other } = await control('user', { name: friend });
await cli(['agency', 'redeem', invite.code ?? invite.invite_code], { token: other });
await cli(['agency', 'join', agency.id], { token: other });
await cli(['agency', 'leave', agency.id, '-y'], { token: other });
await both('agency', 'skills', agency.id);
await cli(['agency', 'install-skill', agency.id, 'echo']);

const made = await cli(['agent', 'create', `${name}bot`, '--role', 'Demo', '--agency-id', agency.id], { json: true });
const agent = made.agent ?? made;
await both('agent', 'list');
await cli(['agent', 'verify', agent.id]);
await both('agent', 'config', agent.id);
await cli(['agent', 'config', agent.id, '--personality', 'kind', '--role', 'Helper', '--spend-limit-tx', '5',
  '--spend-limit-daily', '20', '--wallet-approval', 'manual', '--llm-provider', 'ollama', '--ollama-endpoint',
  'http://127.0.0.1:11434', '--ollama-model', 'tiny', '--webhook-url', 'http://127.0.0.1:9/x', '--llm-api-key', 'k']);
await cli(['agent', 'add', agent.id, '--agency', hidden.id]);

const command = await cli(['command', 'create', agency.id, '--name', 'price', '--webhook-url', 'http://127.0.0.1:9/p',
  '--description', 'prices'], { json: true });
await both('command', 'list', agency.id);
await cli(['command', 'update', agency.id, command.id, '--description', 'prices of coins']);
await both('command', 'rotate-key', agency.id, command.id);
await cli(['command', 'revoke-key', agency.id, command.id, '-y']);
await cli(['command', 'delete', agency.id, command.id, '-y']);

const opened = await both('dm', 'open', friend);
const dm = opened.agencyId ?? opened.agency_id;
await control('dm', { as: friend, to: name, text: 'psst' });
await both('dm', 'list');
await both('dm', 'messages', dm, '--limit', '5');
await cli(['dm', 'hide', dm]);
await cli(['dm', 'purge', dm, '-y']);

for (const what of ['agencies', 'agents', 'users', 'webhooks']) {
  await both('explore', what);
  await cli(['explore', what, '-q', name, '--limit', '5', '--offset', '0']);
}
await both('explore', 'commands');

// The CLI cannot create a hook, so a request does it.
const slug = `${name}hook`;
const { token: session } = await (await fetch(`${apiUrl}/api/auth/login`, {
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ username: name, password: 'crustocean2' }),
})).json();
const deployed = await fetch(`${apiUrl}/api/hooks/deploy`, {
  method: 'POST',
  headers: { authorization: `Bearer ${session}`, 'content-type': 'application/json' },
  body: JSON.stringify({ slug, code: 'export function handler() {}', commands: [{ name: 'toss' }], agency_id: agency.id }),
});
assert.ok(deployed.ok, await deployed.text());
const hookUrl = 'http://127.0.0.1:9/hook';
await cli(['command', 'create', agency.id, '--name', 'hooked', '--webhook-url', hookUrl]);
await cli(['hook', 'set-source', hookUrl, '--source-url', 'https://example.com/source', '--source-hash', 'ab'.repeat(32),
  '--schema', '{"a":1}']);
await both('hook', 'source', hookUrl);
await both('hook', 'list');
await both('hook', 'info', slug);
await both('hook', 'inspect', slug);
await cli(['hook', 'update', slug, '--name', 'Coin', '--description', 'a coin', '--permission', 'closed']);
await cli(['hook', 'disable', slug]);
await cli(['hook', 'enable', slug]);
await both('hook', 'rotate-key', slug);
await cli(['hook', 'revoke-key', slug, '-y']);

await both('profile', 'view', friend);
await cli(['profile', 'edit', '--display-name', 'Cli Two', '--bio', 'a bio']);
await cli(['profile', 'follow', friend]);
await cli(['profile', 'unfollow', friend]);

await control('agent', { name: 'runner' });
await both('run', 'list', agency.id);
await cli(['run', 'view', 'no-such-run'], { fails: true });

const address = '0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed';
await both('wallet', 'generate');
await cli(['wallet', 'register', address]);
await both('wallet', 'address', name);
await both('wallet', 'capabilities');
await cli(['wallet', 'unregister']);

await both('webhook', 'event-types');
const hooked = await cli(['webhook', 'create', agency.id, '--url', 'http://127.0.0.1:9/e', '--events', 'message.created',
  '--secret', 's3cret-s3cret', '--description', 'events'], { json: true });
await both('webhook', 'list', agency.id);
await cli(['webhook', 'update', agency.id, hooked.id, '--disable', '--description', 'fewer']);
await cli(['webhook', 'update', agency.id, hooked.id, '--enable', '--events', 'message.created,member.joined']);
await cli(['webhook', 'delete', agency.id, hooked.id, '-y']);

await cli(['agent', 'transfer', agent.id, '--to', friend, '-y']);
await cli(['agent', 'delete', agent.id, '-y'], { token: other });
await cli(['agency', 'delete', hidden.id, '-y']);
await cli(['auth', 'logout']);
await cli(['auth', 'whoami'], { fails: true });
await cli(['auth', 'login', '-u', name, '-p', 'crustocean2']);
await cli(['auth', 'delete-account', '-y']);

if (failures.length) {
  console.log(failures.join('\n---\n'));
  console.log(`${failures.length} of ${count} failed`);
  process.exit(1);
}
console.log(`all ${count} invocations of the official CLI`);
