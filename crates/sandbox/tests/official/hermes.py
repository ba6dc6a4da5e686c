"""The official Hermes adapter against a sandbox: python hermes.py ADAPTER_FOLDER SANDBOX_URL

pip install "python-socketio[asyncio_client]" httpx. What the adapter needs of Hermes itself stands here, as little as it uses.
"""
import asyncio, importlib, json, os, sys, types, urllib.parse, urllib.request
from dataclasses import dataclass
from enum import Enum
from types import SimpleNamespace

FOLDER, API = sys.argv[1:3]
os.environ["REINA_EVOLUTION_ENABLED"] = "false"
os.environ["HOME"] = os.environ.get("TMPDIR", "/tmp")


def module(name, **members):
    made = types.ModuleType(name)
    made.__dict__.update(members)
    sys.modules[name] = made
    return made


class BasePlatformAdapter:
    def __init__(self, config, platform):
        self.config, self.platform, self._running, self._message_handler = config, platform, False, None

    def build_source(self, **fields):
        return SimpleNamespace(**fields)

    def truncate_message(self, content, most):
        return [content[at:at + most] for at in range(0, len(content), most)]

    async def handle_message(self, event):
        await self._message_handler(event)


@dataclass
class SendResult:
    success: bool
    message_id: str = None
    error: str = None


Platform = Enum("Platform", "CRUSTOCEAN")
MessageType = Enum("MessageType", "TEXT")
module("gateway").__path__ = []
module("gateway.platforms").__path__ = [FOLDER]
module("gateway.config", Platform=Platform, PlatformConfig=SimpleNamespace)
module("gateway.session", SessionSource=SimpleNamespace)
module("gateway.platforms.base", BasePlatformAdapter=BasePlatformAdapter, MessageEvent=SimpleNamespace,
       MessageType=MessageType, SendResult=SendResult)
for part in ["redaction", "evolution"]:
    sys.modules[f"gateway.platforms.{part}"] = importlib.import_module(f"gateway.platforms.{part}")
adapter_module = importlib.import_module("gateway.platforms.crustocean")


def control(path, **fields):
    data = urllib.parse.urlencode(fields).encode() if fields else None
    with urllib.request.urlopen(f"{API}/_sandbox/{path}", data) as answer:
        return json.load(answer)


async def ask(path, **fields):
    return await asyncio.to_thread(lambda: control(path, **fields))


count = 0


def ok(name, holds):
    global count
    assert holds, name
    count += 1
    print(f"ok {count} {name}")


async def main():
    control("reset", now="yes")
    token = control("agent", name="hermes")["token"]
    control("room", name="Lab", owner="alice")
    config = SimpleNamespace(token=token, extra={"api_url": API, "handle": "other", "agencies": ["lobby", "lab"]})
    control("member", room="lab", name="hermes", role="admin")
    adapter = adapter_module.CrustoceanAdapter(config)
    heard = asyncio.Queue()
    adapter._message_handler = heard.put
    ok("connects", await adapter.connect())
    ok("takes its name from the server", adapter._handle == "hermes")
    ok("joins its rooms", len(adapter._joined_ids) >= 2)
    await ask("say", **{"as": "alice", "text": "@hermes hello"})
    event = await asyncio.wait_for(heard.get(), 10)
    ok("hears a mention", "@hermes hello" in event.text and event.source.user_name == "alice")
    lobby = event.raw_message["agency_id"]
    ok("answers", (await adapter.send(lobby, "Hello alice, how are you?")).success)
    answer = await ask("wait?room=lobby&after=0&from=hermes")
    ok("its answer is in the room", "Hello alice" in answer["content"])
    ok("edits", (await adapter.edit_message(lobby, answer["id"], "Hello again")).success)
    ok("runs a command", (await adapter.execute_command("/who", room="lobby"))["ok"])
    ok("keeps notes", (await adapter.execute_command("/save colour red", room="lobby"))["ok"])
    ok("reads history", any(it["content"] == "@hermes hello" for it in await adapter.get_recent_messages("lobby")))
    ok("lists rooms", any(it["slug"] == "lab" for it in await adapter.list_agencies()))
    ok("joins by slug", await adapter.join_agency("lab") == "lab")
    for what in ["rooms", "agents", "webhooks"]:
        ok(f"explores {what}", await adapter.explore(what) is not None)
    ok("explores users", await adapter.explore("users", "alice"))
    await adapter._emit_busy(lobby, "thinking")
    thinking = await ask("wait?event=agent-thinking")
    ok("thinks", thinking["payload"]["thinking"] is True)
    ok("begins a direct conversation", (await adapter.send_to_room("alice", "psst")).success)
    await ask("wait?room=@alice,@hermes&after=0&contains=psst")
    await ask("dm", **{"as": "alice", "to": "hermes", "text": "are you there?"})
    event = await asyncio.wait_for(heard.get(), 10)
    ok("hears a direct message", "are you there?" in event.text and event.source.chat_type == "dm")
    hook = await adapter.deploy_hook("coin", "Coin", "a coin", "export function handler() {}", [{"name": "toss"}], "lab")
    ok("deploys a hook", hook.get("slug") == "coin")
    await ask("fault", **{"drop-links": ""})
    await asyncio.sleep(0.5)
    for _ in range(100):
        if adapter._sio.connected:
            break
        await asyncio.sleep(0.2)
    # The adapter's "connect" handler joins no room: python-socketio 5.18 sets `connected` only after it.
    await adapter._discover_and_join()
    event = None
    for _ in range(20):
        await ask("say", **{"as": "alice", "text": "@hermes still there?"})
        try:
            event = await asyncio.wait_for(heard.get(), 1)
            break
        except asyncio.TimeoutError:
            pass
    ok("hears again after a cut", event and "still there" in event.text)
    guard = json.dumps({"loop_guard": {"hop": 20, "max_hops": 20}})
    await ask("say", **{"as": "alice", "text": "@hermes at the last hop", "metadata": guard})
    await ask("say", **{"as": "alice", "text": "@hermes and after it"})
    last = "still there?"
    while last.endswith("still there?"):
        last = (await asyncio.wait_for(heard.get(), 10)).text.splitlines()[-1]
    ok("keeps to the loop guard", last == "@hermes and after it")
    await adapter.disconnect()
    print(f"all {count} steps of the Hermes adapter")


asyncio.run(main())
