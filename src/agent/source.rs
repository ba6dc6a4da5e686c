//! The agent as the source of the events for its [listeners](crate::agent::listeners).

use std::collections::HashMap;
use std::sync::Arc;

use crate::agent::event::Event;
use crate::agent::history::{self, size_of_message};
use crate::agent::inner::AgentInner;
use crate::agent::listeners::{DroppedMessageReader, ListenerSource, Lost};
use crate::agent::respond::{Decision, answerable};
use crate::agent::rooms::auto_join;
use crate::model::AgencyId;

impl ListenerSource for Arc<AgentInner> {
    fn pull(&self) -> Option<Event> {
        let AgentInner { session, client, delivery, memory, asks, taken, me, .. } = &**self;
        let source = history::DeliverySource { session, client };
        loop {
            let event = delivery.take(&source);
            if delivery.take_missed() {
                auto_join::check_rooms_now(self);
            }
            let event = event?;
            if event.room().is_some_and(|room| self.has_left(room)) {
                continue;
            }
            if let Event::Message(message) = &event {
                if asks.take(message, me) {
                    taken.lock().add(&message.id);
                }
                if let Some(memory) = memory {
                    memory.note_answer(message);
                    if answerable::is_question(self, message) && delivery.has_room(&message.agency_id) {
                        memory.hear(message, true);
                    }
                }
            }
            if !auto_join::holds_invitation(self, &event) {
                return Some(event);
            }
            auto_join::start_room_tasks(self);
        }
    }

    fn has_items(&self) -> bool {
        self.session.has_items()
    }

    fn acknowledge(&self, event: &Event) {
        if let (Event::Message(message), Some(memory)) = (event, &self.memory)
            && !answerable::is_question(self, message)
            // The memory has no entry for any other room, because a server could invent any number of rooms.
            && self.delivery.has_room(&message.agency_id)
        {
            memory.hear(message, false);
        }
    }

    fn is_mention(&self, event: &Event, is_command: bool) -> bool {
        match event {
            // Every direct message is addressed to the agent. A command goes only to the loop over commands, so that it
            // gets one answer.
            Event::Message(message) if is_command && message.dm && !answerable::is_named(self, message) => {
                false
            }
            Event::Message(message) => {
                matches!(answerable::decide(self, message), Decision::Respond | Decision::FromSystem)
            }
            _ => false,
        }
    }

    fn is_command(&self, event: &Event, prefix: &str) -> bool {
        match event {
            Event::Message(message) => answerable::decide_command(self, message, prefix) == Decision::Respond,
            _ => false,
        }
    }

    fn read_again(&self, number: u64, lost: HashMap<AgencyId, Lost>) {
        let missing = lost.into_iter().map(|(room, lost)| {
            let (_, dm) = self.delivery.position(&room);
            (room, dm, lost)
        });
        let reader = DroppedMessageReader {
            number,
            client: self.client.clone(),
            waker: self.session.waker(),
            log: self.session.log().clone(),
            listeners: Arc::clone(&self.listeners),
        };
        reader.start(missing.collect());
    }

    fn size(&self, event: &Event) -> usize {
        match event {
            Event::Message(message) => size_of_message(message),
            Event::MessageEdited(edit) => SMALL_EVENT + edit.content.len() + edit.metadata.raw().len(),
            Event::Other(raw) => raw.size(),
            _ => SMALL_EVENT,
        }
    }
}

/// The approximate size of a small event in memory, in bytes.
const SMALL_EVENT: usize = 512;
