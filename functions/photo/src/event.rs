//! The messages of the photos queue: S3's notices of uploads, and tasks that other functions send.

use purrline::domain::{ImageKey, PhotoMessage, PhotoTask};
use serde::Deserialize;

/// A message of the queue.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "Wire")]
pub(crate) enum Event {
    /// Uploads arrived. Objects whose keys this service never handed out are left out.
    Uploaded(Vec<ImageKey>),
    /// Something is to be done.
    Task(PhotoTask),
}

/// A message as it is sent.
#[derive(Deserialize)]
#[serde(untagged)]
enum Wire {
    Task(PhotoMessage),
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html>
    Notice {
        #[serde(rename = "Records")]
        records: Vec<Record>,
    },
    /// S3 sends it once, when the notifications are configured.
    Test {
        #[serde(rename = "Event")]
        _event: TestEvent,
    },
}

#[derive(Deserialize)]
enum TestEvent {
    #[serde(rename = "s3:TestEvent")]
    Test,
}

#[derive(Deserialize)]
struct Record {
    s3: Stored,
}

#[derive(Deserialize)]
struct Stored {
    object: Object,
}

#[derive(Deserialize)]
struct Object {
    /// URL-encoded, which leaves every character of an upload's key as it is.
    key: String,
}

impl From<Wire> for Event {
    fn from(wire: Wire) -> Self {
        match wire {
            Wire::Task(message) => Self::Task(message.task),
            Wire::Notice { records } => {
                let keys = records.iter().map(|record| &record.s3.object.key);
                Self::Uploaded(keys.filter_map(|key| ImageKey::parse(key).ok()).collect())
            }
            Wire::Test { .. } => Self::Uploaded(Vec::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "uploads/nabi/q1J0mZ5tR3uYwXv8KcD2fA.jpg";

    fn read(text: &str) -> Option<Event> {
        serde_json::from_str(text).ok()
    }

    #[test]
    fn notices_name_the_uploads_that_arrived() {
        let notice = |key: &str| {
            let notice = r#"{"Records":[{"eventName":"ObjectCreated:Put","s3":{"object":{"key":"KEY","size":1}}}]}"#;
            read(&notice.replace("KEY", key))
        };
        let key = ImageKey::parse(KEY).unwrap();
        assert_eq!(notice(KEY), Some(Event::Uploaded(vec![key])));
        assert_eq!(notice("uploads/x"), Some(Event::Uploaded(vec![])));
        let test = r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"b"}"#;
        assert_eq!(read(test), Some(Event::Uploaded(vec![])));
    }

    #[test]
    fn tasks_have_a_version() {
        let task = |v: u8| read(&format!(r#"{{"v":{v},"task":"review","keys":["{KEY}"]}}"#));
        let keys = vec![ImageKey::parse(KEY).unwrap()];
        assert_eq!(task(1), Some(Event::Task(PhotoTask::Review { keys })));
        assert_eq!(task(2), None);
        for bad in [r#"{"Event":"s3:Other"}"#, "{}", "[]", r#"{"Records":[{}]}"#] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
