//! A fake language model: it implements the part of OpenAI's protocol that the examples use.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

use serde_json::{Value, json};

/// The base URL of the environment's model, or of a fake model in this process if there is neither a URL nor a key.
pub fn model_url() -> io::Result<String> {
    match std::env::var("OPENAI_BASE_URL") {
        Ok(url) => Ok(url),
        Err(_) if std::env::var_os("OPENAI_API_KEY").is_some() => Ok("https://api.openai.com/v1".to_owned()),
        Err(_) => canned_model(),
    }
}

fn canned_model() -> io::Result<String> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let url = format!("http://{}/v1", listener.local_addr()?);
    eprintln!("neither OPENAI_API_KEY nor OPENAI_BASE_URL is set: using fixed answers");
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(io::Result::ok) {
            std::thread::spawn(move || serve(&stream));
        }
    });
    Ok(url)
}

fn serve(stream: &TcpStream) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let request: Value = serde_json::from_slice(&body)?;
    let (kind, answer) = match request["stream"].as_bool() {
        Some(true) => ("text/event-stream", streamed(&say(&request))),
        _ => ("application/json", json!({ "choices": [{ "message": think(&request) }] }).to_string()),
    };
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\nconnection: close\r\n\r\n");
    (&mut &*stream).write_all(head.as_bytes())?;
    (&mut &*stream).write_all(answer.as_bytes())
}

/// One word per event.
fn streamed(text: &str) -> String {
    let words = text
        .split_inclusive(' ')
        .map(|word| format!("data: {}\n\n", json!({ "choices": [{ "delta": { "content": word } }] })));
    words.chain(["data: [DONE]\n\n".to_owned()]).collect()
}

fn say(request: &Value) -> String {
    let messages = request["messages"].as_array().map_or(0, Vec::len);
    format!("I have read {messages} messages, and I think you had better ask somebody who knows.")
}

/// Calls each of its tools once, then returns the last tool's output.
fn think(request: &Value) -> Value {
    let none = Vec::new();
    let messages = request["messages"].as_array().unwrap_or(&none);
    let used = messages.iter().rev().take_while(|message| message["role"] != "user");
    let results: Vec<&Value> = used.filter(|message| message["role"] == "tool").collect();
    let last = results.first().map_or("", |result| result["content"].as_str().unwrap_or(""));
    let Some(tool) = request["tools"].get(results.len()) else {
        return json!({ "role": "assistant", "content": format!("The result: {last}.") });
    };
    let arguments = match tool["function"]["name"].as_str() {
        Some("write_down") => json!({ "text": format!("the die shows {last}") }),
        _ => json!({ "sides": 6 }),
    };
    let call = json!({ "name": tool["function"]["name"], "arguments": arguments.to_string() });
    let id = format!("call-{}", results.len());
    json!({ "role": "assistant", "tool_calls": [{ "id": id, "type": "function", "function": call }] })
}
