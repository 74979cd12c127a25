//! SRV records (RFC 2782): hosts and ports of a service, as the name servers of this machine have
//! them.

use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RData;
use hickory_resolver::proto::rr::rdata::SRV;
use hickory_resolver::{ResolverBuilder, TokioResolver};
use std::io;
use std::time::Duration;

/// The longest that a lookup takes.
const LIMIT: Duration = Duration::from_secs(10);

/// The `HOST:PORT` of each record of a service: those of the lowest priority first, of these the
/// heaviest first: a node tries all of them.
///
/// It asks the name servers of `/etc/resolv.conf`, and blocks for ten seconds at most.
///
/// # Errors
///
/// If there are no name servers, none answers, or the service has no records.
pub(crate) fn look_up(name: &str) -> io::Result<Vec<String>> {
    look_up_by(TokioResolver::builder_tokio().map_err(io::Error::other)?, name)
}

fn look_up_by(
    resolver: ResolverBuilder<TokioRuntimeProvider>,
    name: &str,
) -> io::Result<Vec<String>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = runtime.block_on(async {
        let resolver = resolver.build().map_err(io::Error::other)?;
        match tokio::time::timeout(LIMIT, resolver.srv_lookup(name)).await {
            Ok(answer) => answer.map_err(io::Error::other),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    })?;
    let mut records: Vec<&SRV> = Vec::new();
    for answer in answer.answers() {
        match &answer.data {
            // The root stands for a service that decidedly does not exist.
            RData::SRV(record) if !record.target.is_root() => records.push(record),
            _ => {}
        }
    }
    records.sort_by_key(|record| (record.priority, u16::MAX - record.weight));
    Ok(records.iter().map(|record| format!("{}:{}", record.target, record.port)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_resolver::Resolver;
    use hickory_resolver::config::{NameServerConfig, ResolverConfig};
    use hickory_resolver::proto::op::{Message, ResponseCode};
    use hickory_resolver::proto::rr::{Name, Record};
    use std::net::{Ipv4Addr, UdpSocket};
    use std::thread;

    const SERVICE: &str = "_shop._tcp.example.";

    /// A name server on loopback that answers queries for the service, and knows nothing else.
    fn server(records: Vec<SRV>) -> ResolverBuilder<TokioRuntimeProvider> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let addr = socket.local_addr().unwrap();
        thread::spawn(move || {
            let mut buf = [0; 4096];
            loop {
                let (len, from) = socket.recv_from(&mut buf).unwrap();
                let query = Message::from_vec(&buf[..len]).unwrap();
                let mut answer = Message::response(query.metadata.id, query.metadata.op_code);
                answer.add_queries(query.queries.clone());
                if query.queries[0].name().to_string() == SERVICE {
                    let name = Name::from_ascii(SERVICE).unwrap();
                    let record =
                        |it: &SRV| Record::from_rdata(name.clone(), 60, RData::SRV(it.clone()));
                    answer.add_answers(records.iter().map(record));
                } else {
                    answer.metadata.response_code = ResponseCode::NXDomain;
                }
                socket.send_to(&answer.to_vec().unwrap(), from).unwrap();
            }
        });
        let mut config = NameServerConfig::udp(addr.ip());
        config.connections[0].port = addr.port();
        let config = ResolverConfig::from_name_servers(vec![config]);
        Resolver::builder_with_config(config, TokioRuntimeProvider::default())
    }

    fn record(priority: u16, weight: u16, port: u16, target: &str) -> SRV {
        SRV::new(priority, weight, port, Name::from_ascii(target).unwrap())
    }

    #[test]
    fn records_are_hosts_with_ports_in_the_order_of_priority() {
        let records = vec![
            record(20, 0, 7948, "db-3.example."),
            record(10, 5, 7946, "db-1.example."),
            record(10, 50, 7947, "db-2.example."),
            record(0, 0, 0, "."),
        ];
        let found = look_up_by(server(records), "_shop._tcp.example").unwrap();
        assert_eq!(found, ["db-2.example.:7947", "db-1.example.:7946", "db-3.example.:7948"]);
    }

    #[test]
    fn a_service_that_is_not_there_is_an_error_that_names_it() {
        let said = look_up_by(server(Vec::new()), "_none._tcp.example").unwrap_err().to_string();
        assert!(said.contains("_none._tcp.example"), "{said}");
    }
}
