//! Functions that take a `&str` also take a `&String`, which a `for` loop over names yields.

use crustocean::model::{Color, MessageType, Role, Span, Timestamp};
use crustocean::rest::{AgentRef, NewOwner};
use crustocean::webhook::WebhookSecret;
use crustocean::{AgencyId, AgentToken, ErrorKind, Outgoing};

#[test]
fn a_reference_to_a_string_is_accepted_like_a_str() {
    let name = "@larry".to_owned();
    assert!(matches!(AgentRef::from(&name), AgentRef::Username("larry")));
    assert!(matches!(NewOwner::from(&name), NewOwner::Username("larry")));
    let text = "sk_1234".to_owned();
    assert_eq!(AgencyId::from(&text), "sk_1234");
    assert_eq!(Timestamp::from(&text).as_ref(), "sk_1234");
    assert_eq!(Span::from(&text).text, "sk_1234");
    assert_eq!(MessageType::from(&text).as_str(), Role::from(&text).as_str());
    assert_eq!(Color::from(&text).as_str(), "sk_1234");
    assert_eq!(AgentToken::try_from(&text).unwrap().expose(), "sk_1234");
    assert_eq!(WebhookSecret::try_from(&text).unwrap().expose(), "sk_1234");
    let _ = Outgoing::from(&text);
    assert_eq!(AgentToken::try_from(&"null".to_owned()).unwrap_err().kind(), ErrorKind::Invalid);
}
