"""A bot in Python against the sandbox: pip install "python-socketio[client]"

    crustocean-sandbox --demo                       # prints the two variables
    CRUSTOCEAN_API_URL=... AGENT_TOKEN=... python bot.py
"""
import json, os, urllib.request
import socketio

API = os.environ["CRUSTOCEAN_API_URL"]

def call(method, path, body=None, token=None):
    headers = {"content-type": "application/json", **({"authorization": f"Bearer {token}"} if token else {})}
    data = json.dumps(body).encode() if body is not None else None
    with urllib.request.urlopen(urllib.request.Request(API + path, data, headers, method=method)) as answer:
        return json.load(answer)

session = call("POST", "/api/auth/agent", {"agentToken": os.environ["AGENT_TOKEN"]})
me, room = session["user"]["username"], call("GET", "/api/agencies/lookup/lobby", token=session["token"])["id"]
client = socketio.Client()

@client.on("connect")
def connect():
    client.emit("join-agency", {"agencyId": room})

@client.on("message")
def message(said):
    if said["sender_username"] != me and f"@{me}" in said["content"]:
        client.emit("send-message", {"agencyId": room, "content": f"You said: {said['content']}"})

client.connect(API, auth={"token": session["token"]}, transports=["websocket"])
client.wait()
