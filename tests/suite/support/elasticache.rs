//! A stand-in for AWS's `ElastiCache`, compatible with the SDK.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// An answer to one operation.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    operation: &'static str,
    status: u16,
    body: String,
}

/// A running stand-in. It refuses its first request, and answers all others as set.
#[derive(Debug, Clone)]
pub(crate) struct ElastiCache {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
    /// The answer to each operation.
    answers: Arc<Mutex<Vec<Answer>>>,
}

impl ElastiCache {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let service = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            requests: Arc::default(),
            answers: Arc::default(),
        };
        let answering = service.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let answering = answering.clone();
                tokio::spawn(async move { answering.answer(socket).await });
            }
        });
        service
    }

    /// Returns the settings with which a function finds the cache of this name at this stand-in.
    pub(crate) fn environment(&self, name: &str, kind: &str) -> [(String, String); 4] {
        let variables = [
            ("AWS_ENDPOINT_URL_ELASTICACHE", self.url.as_str()),
            ("CACHE_URL", ""),
            ("CACHE_NAME", name),
            ("CACHE_KIND", kind),
        ];
        variables.map(|(name, value)| (name.to_owned(), value.to_owned()))
    }

    pub(crate) fn set_answers(&self, answers: impl IntoIterator<Item = Answer>) {
        *self.answers.lock().unwrap() = answers.into_iter().collect();
    }

    /// Returns the requests so far, heads and bodies.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    async fn answer(&self, mut socket: TcpStream) {
        let Some(request) = read(&mut socket).await else {
            return;
        };
        let answers = self.answers.lock().unwrap().clone();
        let operation =
            |answer: &&Answer| request.contains(&format!("Action={}&", answer.operation));
        let found = answers.iter().find(operation).cloned();
        let is_first = {
            let mut all = self.requests.lock().unwrap();
            all.push(request);
            all.len() == 1
        };
        let Answer { status, body, .. } = found
            .filter(|_| !is_first)
            .unwrap_or_else(|| error("", 503, "ServiceUnavailable"));
        let head = format!(
            "HTTP/1.1 {status} x\r\ncontent-type: text/xml\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        let _ = socket.write_all((head + &body).as_bytes()).await;
    }
}

/// Reads a whole request; `None` if the client hangs up.
async fn read(socket: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let mut lines = head.lines().filter_map(|line| line.split_once(": "));
            let length = lines.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
            let length: usize = length.map_or(0, |(_, length)| length.parse().unwrap());
            if body.len() >= length {
                return Some(text);
            }
        }
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

/// Returns an error in the service's format.
pub(crate) fn error(operation: &'static str, status: u16, code: &str) -> Answer {
    let body = format!(
        "<ErrorResponse xmlns=\"http://elasticache.amazonaws.com/doc/2015-02-02/\"><Error><Type>Sender</Type>\
         <Code>{code}</Code><Message>{code}</Message></Error><RequestId>1</RequestId></ErrorResponse>"
    );
    Answer {
        operation,
        status,
        body,
    }
}

/// Returns a replication group at this address, without TLS.
pub(crate) fn group(address: &str) -> Answer {
    let (host, port) = address
        .trim_start_matches("redis://")
        .split_once(':')
        .unwrap();
    let body = format!(
        "<DescribeReplicationGroupsResponse xmlns=\"http://elasticache.amazonaws.com/doc/2015-02-02/\">\
         <DescribeReplicationGroupsResult><ReplicationGroups><ReplicationGroup>\
         <ReplicationGroupId>cats</ReplicationGroupId><Status>available</Status><ClusterEnabled>true</ClusterEnabled>\
         <ConfigurationEndpoint><Address>{host}</Address><Port>{port}</Port></ConfigurationEndpoint>\
         <TransitEncryptionEnabled>false</TransitEncryptionEnabled><CacheNodeType>cache.r7g.large</CacheNodeType>\
         <MemberClusters><ClusterId>cats-0001-001</ClusterId><ClusterId>cats-0001-002</ClusterId></MemberClusters>\
         </ReplicationGroup></ReplicationGroups></DescribeReplicationGroupsResult>\
         </DescribeReplicationGroupsResponse>"
    );
    Answer {
        operation: "DescribeReplicationGroups",
        status: 200,
        body,
    }
}

/// Returns a serverless cache with the limits of the template.
pub(crate) fn serverless() -> Answer {
    let body = "<DescribeServerlessCachesResponse xmlns=\"http://elasticache.amazonaws.com/doc/2015-02-02/\">\
         <DescribeServerlessCachesResult><ServerlessCaches><member><ServerlessCacheName>cats</ServerlessCacheName>\
         <Status>available</Status><Engine>valkey</Engine><FullEngineVersion>8.1</FullEngineVersion>\
         <CacheUsageLimits><DataStorage><Maximum>10</Maximum><Unit>GB</Unit></DataStorage>\
         <ECPUPerSecond><Maximum>50000</Maximum></ECPUPerSecond></CacheUsageLimits>\
         <Endpoint><Address>cats.example</Address><Port>6379</Port></Endpoint>\
         </member></ServerlessCaches></DescribeServerlessCachesResult></DescribeServerlessCachesResponse>";
    Answer {
        operation: "DescribeServerlessCaches",
        status: 200,
        body: body.to_owned(),
    }
}
