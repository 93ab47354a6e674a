//! Every bound in one place, each with what happens at it.

use std::time::Duration;

/// CNAMEs followed inside our zones. Longer chains get what was found so far; resolvers go on.
pub const CNAME_CHAIN: usize = 16;

/// RRsets of one type that a route of a signed zone may answer, and states of its targets that are
/// tried to find them, as far as they are signed when the zone is loaded. What lies beyond is signed
/// by the writer when it is first wanted: some 20 microseconds later.
pub const ROUTE_OUTCOMES: usize = 256;

/// Owners whose signatures are made anew in one go. Then reports and changes have their turn.
pub const RENEWALS_TOGETHER: usize = 64;

/// Octets of a UDP answer, unless the client asks for less (RFC 9715: no fragmentation on any
/// usual path). Longer answers are truncated and come again over TCP.
pub const UDP_PAYLOAD_OCTETS: u16 = 1232;

/// Octets of a UDP answer to a client without EDNS (RFC 1035 2.3.4).
pub const UDP_PLAIN_OCTETS: usize = 512;

/// Octets of the longest message (RFC 1035 4.2.2: its length has 16 bits).
pub const MESSAGE_OCTETS: usize = 65_535;

/// Octets of a zone file with all that it includes. A larger one is refused with an error.
pub const ZONE_TEXT_OCTETS: u64 = 4 << 30;

/// `$INCLUDE` inside `$INCLUDE`. Deeper nesting, or a file that includes itself, is an error.
pub const INCLUDE_DEPTH: usize = 16;

/// Diagnostics kept of one file. The rest are counted; nobody reads a thousand lines.
pub const DIAGNOSTICS: usize = 100;

/// Probes on their way at one time. Further ones wait for their turn, so that with more targets
/// than this hanging until their time-outs, verdicts come later; sockets stay within the usual
/// limit of 1024 files.
pub const PROBES_AT_ONCE: usize = 512;

/// Connections of probes to one address at one time, unless configured. Further probes of it wait
/// for their turn: servers count clients' connections, and turn away whom they have too many of.
pub const PROBES_PER_TARGET: usize = 16;

/// Tripwires, each an open file. Further targets have none: their failures are seen by the next
/// probe.
pub const TRIPWIRES: usize = 256;

/// Time for a tripwire to be connected and greeted. Then it is tried again later.
pub const TRIPWIRE_OPENING: Duration = Duration::from_secs(5);

/// Wait before a tripwire connects again. It doubles up to [`TRIPWIRE_BACKOFF_MOST`] as long as
/// connections don't last.
pub const TRIPWIRE_BACKOFF: Duration = Duration::from_secs(1);

/// Longest wait before a tripwire connects again.
pub const TRIPWIRE_BACKOFF_MOST: Duration = Duration::from_secs(60);

/// Silence after which the kernel asks whether a tripwire's other end is there, and after which it
/// asks again.
pub const TRIPWIRE_KEEPALIVE: Duration = Duration::from_secs(1);

/// Longest wait between the probes that confirm a failure after a tripwire was lost. A server that
/// is started anew within two of them isn't passed over.
pub const TRIPWIRE_CONFIRMATION: Duration = Duration::from_millis(200);

/// Such questions without an answer until the tripwire is lost.
pub const TRIPWIRE_KEEPALIVES: u32 = 3;

/// Programs of `exec` probes at one time. Further ones wait; those that had no turn within their
/// time-outs say nothing of their targets.
pub const PROBE_PROGRAMS_AT_ONCE: usize = 16;

/// Octets of a program's output that are read. The rest is lost, and the program hears that nobody
/// reads.
pub const PROBE_OUTPUT_OCTETS: u64 = 8 * 1024;

/// Figures kept of one probe. The rest is lost.
pub const PROBE_FIGURES: usize = 16;

/// Time for a probe to take its leave once its verdict is made. A server that is slower sees its
/// connection closed; it doesn't hold up the news of a failure.
pub const PROBE_FAREWELL: Duration = Duration::from_millis(200);

/// Octets of one answer of a probed mail server. A longer one is a failure: nothing that greets
/// its clients needs more.
pub const PROBE_ANSWER_OCTETS: usize = 8 * 1024;

/// Lines of one answer of a probed mail server (RFC 5321 4.2.1). More are a failure.
pub const PROBE_ANSWER_LINES: usize = 100;

/// Octets of a page in which a probe looks for its text. What stands behind isn't read.
pub const PROBE_BODY_OCTETS: usize = 64 * 1024;

/// Octets of the headers of a probed page. Longer ones are a failure.
pub const PROBE_HEADER_OCTETS: usize = 64 * 1024;

/// Redirects that a probe follows. A further one is a failure.
pub const PROBE_REDIRECTS: usize = 5;

/// Octets of an exporter's page. A metric behind them counts as missing.
pub const PROBE_METRICS_OCTETS: usize = 4 << 20;

/// Characters of a probe's evidence. The rest is cut: it goes into logs, tables and TXT records.
pub const PROBE_EVIDENCE_CHARACTERS: usize = 120;

/// Zones that are counted apart, and two. Further ones are counted together, so that each worker's
/// counters, and what a collector of metrics keeps, stay small.
pub const ZONE_ROWS: u16 = 1002;

/// Regions that are counted apart, and two. Further ones are counted together.
pub const REGION_ROWS: u16 = 502;

/// Routes whose targets are counted in metrics. Further ones aren't shown there.
pub const ROUTES_SHOWN: usize = 2000;

/// Datagrams of one `recvmmsg` and one `sendmmsg`. More wait in the socket's buffer for the next.
pub const UDP_BATCH: usize = 32;

/// Queries that are read, and whose owners are fetched from memory together, before the first of
/// them is answered. The rest of a batch follows in the same way: more at once would push each
/// other out of the first cache, and a lone query pays for the room of all.
pub const QUERIES_FETCHED: usize = 16;

/// Octets of a query over UDP. A longer one is dropped: no client sends such a thing, and a
/// stream takes it.
pub const UDP_QUERY_OCTETS: usize = 2048;

/// Octets that the UDP payload may be configured to, at most. Larger values are refused.
pub const UDP_PAYLOAD_OCTETS_MAX: usize = 4096;

/// Octets of a UDP socket's buffers, asked of the kernel, which gives at most
/// `net.core.rmem_max` and `wmem_max`. What comes when the buffer is full is lost.
pub const UDP_SOCKET_BUFFER_OCTETS: usize = 4 << 20;

/// How long a worker sleeps in the kernel at most: it sees the stop flag after this time.
/// Also the longest that a full send buffer holds a worker; then that answer is lost.
pub const UDP_WAIT: Duration = Duration::from_millis(200);

/// UDP workers per listen address. More are refused.
pub const UDP_WORKERS: usize = 256;

/// Ports tried for a listen address with port 0 until one is free for both UDP and TCP.
/// Then binding fails.
pub const PORT_ATTEMPTS: usize = 32;

/// Secrets of cookies: one that signs, and those that roll over. More are refused, since each may
/// cost every forged cookie a hash.
pub const COOKIE_SECRETS: usize = 4;

/// Weighted alternatives among which a client's network chooses. Of a tier with more, each query
/// gets one by chance.
pub const STICKY_ALTERNATIVES: usize = 256;

/// Tables of sticky choices kept for routes to come. At more all are forgotten and made again when
/// they are wanted; those in use stay.
pub const STICKY_TABLES: usize = 1024;

/// How long a chain of targets that need each other may be. A longer one is an error of the file:
/// nobody can say any more what a death takes along.
pub const NEEDS_DEPTH: usize = 16;

/// Addresses of one family that a target's host name gives. The others, in the order of addresses,
/// are neither answered nor probed: no client tries more.
pub const RESOLVED_ADDRESSES: usize = 16;

/// Shortest time between two resolutions of a target's host name, whatever its TTL says; also after
/// one that failed.
pub const RESOLVE_AGAIN_MIN: Duration = Duration::from_secs(5);

/// Longest time between two resolutions of a target's host name, whatever its TTL says: what was
/// changed by mistake for a day is known again within this time.
pub const RESOLVE_AGAIN_MAX: Duration = Duration::from_secs(3600);

/// How long one question about a target's host name may take, further attempts included. Then it
/// has failed, and the addresses from before stay.
pub const RESOLVE_PATIENCE: Duration = Duration::from_secs(10);

/// Host names of targets that are asked for at one time. Further ones wait for their turn.
pub const RESOLVED_AT_ONCE: usize = 32;

/// TCP connections at once. A further one is closed as soon as it is accepted.
pub const TCP_CONNECTIONS: usize = 4096;

/// TCP connections at once of one client: an IPv4 address, or an IPv6 /64. A further one is
/// closed as soon as it is accepted.
pub const TCP_CONNECTIONS_PER_CLIENT: usize = 64;

/// Connections that the kernel holds until they are accepted. It refuses or delays the rest.
pub const TCP_BACKLOG: i32 = 1024;

/// How long a TCP connection may take from one whole query to the next; sending octets one by
/// one gains no time. Then it is closed (RFC 7766 6.2.3).
pub const TCP_IDLE: Duration = Duration::from_secs(10);

/// How long a client may take to accept what was written to it. Then the connection is closed.
pub const TCP_WRITE: Duration = Duration::from_secs(5);

/// Octets that are read from a TCP connection at a time. What stands behind waits until other
/// connections had their turn.
pub const TCP_READ_OCTETS: usize = 16 << 10;

/// Connections that one wait tells of. Further ones come with the next.
pub const TCP_EVENTS: usize = 256;

/// Octets of answers that are gathered before they are written, while pipelined queries wait.
pub const TCP_GATHERED_OCTETS: usize = 16 << 10;

/// Octets of each buffer that a waiting TCP connection keeps. What grew beyond is given back.
pub const TCP_KEPT_OCTETS: usize = 4 << 10;

/// How long accepting pauses when the process has no file descriptor left.
pub const TCP_ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Octets of a block, to a multiple of which answers are padded (RFC 8467 4.1). A message without
/// room for a whole block more is padded to its longest, 65,535.
pub const PADDING_BLOCK_OCTETS: usize = 468;

/// Encrypted connections at once, TLS and QUIC together. A further one is closed as soon as it is
/// accepted. Each costs more memory than one by TCP does.
pub const TLS_CONNECTIONS: usize = 1024;

/// Encrypted connections at once of one client: an IPv4 address, or an IPv6 /64. A further one is
/// closed as soon as it is accepted.
pub const TLS_CONNECTIONS_PER_CLIENT: usize = 32;

/// How long an encrypted connection may take from one whole query to the next. Then it is closed.
/// Longer than over TCP: a handshake costs as much as thousands of answers.
pub const TLS_IDLE: Duration = Duration::from_secs(30);

/// How long the handshake of TLS or QUIC may take. Then the connection is closed.
pub const TLS_HANDSHAKE: Duration = Duration::from_secs(5);

/// How often the files of certificate and key are looked at. Changed ones are in use after twice
/// this time: a pair that is being replaced is read when it has settled.
pub const TLS_FILES_LOOKED_AT: Duration = Duration::from_secs(1);

/// Streams at once of one QUIC connection: queries without an answer. A client that wants more
/// waits until QUIC tells it that streams have ended.
pub const QUIC_STREAMS: u32 = 100;

/// Octets of a query over QUIC. A longer one ends the connection (DOQ_EXCESSIVE_LOAD): no client
/// sends such a thing, many streams at once would take much memory, and TLS takes it.
pub const QUIC_QUERY_OCTETS: usize = 4096;

/// Octets that one QUIC connection may have sent and we not yet read. It waits then.
pub const QUIC_RECEIVE_OCTETS: u32 = 64 << 10;

/// Octets of answers that one QUIC connection may have and not yet acknowledged. Streams with
/// further ones wait.
pub const QUIC_SEND_OCTETS: u64 = 512 << 10;

/// How long a server that ends waits for its QUIC clients to see that. Those that don't find out
/// by their own time-outs.
pub const QUIC_FAREWELL: Duration = Duration::from_millis(200);

/// How often the keys of signed zones are looked at. A roll that is asked for begins within this
/// time.
pub const KEYS_INTERVAL: Duration = Duration::from_secs(60);

/// When the same trouble with a zone's keys is told again.
pub const KEYS_TOLD_AGAIN: Duration = Duration::from_secs(6 * 3_600);

/// What is left of a bundle's signatures at least while its signer works and bundles come: these have
/// a week left. With less the server says that they don't, every day and in `check`; it answers on.
pub const BUNDLE_LEFT: Duration = Duration::from_secs(5 * 86_400);

/// Keys that a bundle has at most, those of other signers included, and signatures of one RRset. With
/// more none is made, and none is taken: before it is known whose a bundle is, each of its seals may
/// have to be tried with each of its keys.
pub const BUNDLE_KEYS: usize = 32;

/// How long a signer waits at least from one bundle of a zone to the next; with large ones ten times
/// as long as one takes to write.
pub const BUNDLE_PAUSE: Duration = Duration::from_secs(1);

/// How long after it couldn't be written a bundle is written again.
pub const BUNDLE_AGAIN: Duration = Duration::from_secs(5);

/// Octets of a bundle that is asked for. A longer one isn't taken: some four million signatures fit.
pub const BUNDLE_OCTETS: u64 = 512 << 20;

/// How long a signer may be silent when an edge asks it for a bundle. Then the edge asks again after
/// its interval.
pub const BUNDLE_ANSWER: Duration = Duration::from_secs(30);

/// How long a bundle may be on its way, likewise.
pub const BUNDLE_TIME: Duration = Duration::from_secs(600);

/// Bundles that an edge asks for at one time. Further zones wait for their turn.
pub const BUNDLES_TOGETHER: usize = 8;

/// How long an edge that starts asks for the bundles that it lacks, all of them together. Then it
/// answers with what is there, and asks on.
pub const BUNDLE_FIRST: Duration = Duration::from_secs(4);

/// How often the parent is asked for DS that a key waits for.
pub const PARENT_INTERVAL: Duration = Duration::from_secs(300);

/// How soon the parent is asked again when files were read anew: whoever has just handed a DS over
/// needn't wait, and busy zones don't burden the parent.
pub const PARENT_AGAIN: Duration = Duration::from_secs(5);

/// How long one nameserver of the parent may take for an answer. Then it is asked again.
pub const PARENT_ANSWER: Duration = Duration::from_secs(2);

/// How often one nameserver of the parent is asked. Then it counts as silent, and keys wait.
pub const PARENT_ATTEMPTS: usize = 2;

/// How long all nameservers of one parent may take. Then keys of the zone wait, and those of other
/// zones have their turn.
pub const PARENT_TIME: Duration = Duration::from_secs(10);

/// How long `check --live` waits for an answer before it asks again.
pub const LIVE_PATIENCE: Duration = Duration::from_secs(2);

/// How often `check --live` asks a question. Then the server counts as silent, and isn't asked
/// about further zones.
pub const LIVE_ATTEMPTS: usize = 2;

/// How long `check --live` waits before it asks a second time what servers answered differently: a
/// target that died just then is known to all by then, at usual intervals.
pub const LIVE_SETTLING: Duration = Duration::from_secs(5);

/// How long `check --live` takes at most. What isn't answered by then isn't judged, and said so.
pub const LIVE_TIME: Duration = Duration::from_secs(60);

/// Questions of `check --live` on their way at one time. Further ones wait for their turn.
pub const LIVE_AT_ONCE: usize = 32;

/// Questions of `check --live` about one zone to one server. Names beyond aren't asked, and said so.
pub const LIVE_QUESTIONS: usize = 512;

/// How long `check --live` waits for the system's resolver to give a nameserver's addresses. Then
/// that nameserver counts as unresolvable.
pub const LIVE_RESOLVING: Duration = Duration::from_secs(5);

/// Octets of a worker's ring of copies for the query log and dnstap, a thousand queries or so. Those
/// that don't fit, since the thread that writes them down is behind, are dropped and counted.
pub const TAP_RING_OCTETS: usize = 256 << 10;

/// The same while only samples are counted, some hundred queries. Those that don't fit are missing
/// in the sample.
pub const TAP_SMALL_RING_OCTETS: usize = 32 << 10;

/// How often the rings of all workers are emptied. So late a query is written down.
pub const TAP_PAUSE: Duration = Duration::from_millis(5);

/// The same while only samples are counted: an idle server is woken rarely.
pub const TAP_LONG_PAUSE: Duration = Duration::from_millis(250);

/// Of how many queries one is looked at for clients that no region has, unless `[unplaced]` says
/// something else.
pub const UNPLACED_SAMPLE: u32 = 100;

/// Networks that no region has which are counted at one time. A further one takes the place of the
/// one with the fewest, and its count with it as an error that is told.
pub const UNPLACED_NETWORKS: usize = 512;

/// Zones that are told apart for each of these networks. Queries in further ones count for the
/// network alone.
pub const UNPLACED_ZONES: usize = 4;

/// How long these networks are counted before counting begins anew; what was counted in the time
/// before is still shown.
pub const UNPLACED_TIME: Duration = Duration::from_secs(12 * 3_600);

/// Networks that are told, those with the most queries first.
pub const UNPLACED_TOLD: usize = 50;

/// Networks on the status page that no region has. The API has more.
pub const PAGE_UNPLACED: usize = 20;

/// Octets of lines that wait to be written to the query log. Further lines are dropped and counted.
pub const LINES_WAITING_OCTETS: usize = 4 << 20;

/// How long the query log and dnstap may take at the end. Then they are left as they are.
pub const TAP_STOP: Duration = Duration::from_secs(3);

/// How long the end of the server may take. What hasn't ended by then is told in the log and left
/// behind: those who manage services kill what takes longer, the most impatient after ten seconds.
pub const STOP: Duration = Duration::from_secs(8);

/// How long the disk may take at the end for what is kept over a restart. Then that isn't kept.
pub const STATE_STOP: Duration = Duration::from_secs(7);

/// Octets of frames that wait for a dnstap reader. Further ones are dropped and counted.
pub const DNSTAP_WAITING_OCTETS: usize = 4 << 20;

/// How long after a failure a dnstap socket, or a query log's file, is opened again.
pub const TAP_AGAIN: Duration = Duration::from_secs(1);

/// How long a dnstap reader may take to accept. Then its connection is closed, and made again.
pub const DNSTAP_HANDSHAKE: Duration = Duration::from_secs(5);

/// How long whoever reads the query log or dnstap may take at the end to take what waits, and to say
/// that it has it all. Then it is left without.
pub const TAP_FINISH: Duration = Duration::from_secs(1);

/// Changed answers that an event tells. The rest aren't told: `explain` has them.
pub const EVENT_EFFECTS: usize = 32;

/// Events kept in memory, for `events.waypost` and the local API. Older ones are in the journal.
pub const EVENTS_KEPT: usize = 1000;

/// Octets of the journal of events, after which it begins anew; the one before is kept beside it.
pub const JOURNAL_OCTETS: u64 = 4 << 20;

/// Events that wait to be written to the journal, and that a slow subscriber may be behind. Older
/// ones are passed over: a disk that hangs must not fill the memory.
pub const EVENTS_WAITING: usize = 4096;

/// Octets of a request to the local API. A longer one is refused.
pub const ADMIN_REQUEST_OCTETS: usize = 64 << 10;

/// How long a request for events may wait for the next one. Then it is answered without any.
pub const ADMIN_EVENTS_WAIT: Duration = Duration::from_secs(30);

/// Wrong tokens that one client (an IPv4 address, or an IPv6 /64) may show within the time below. Then
/// none of its tokens is looked at until that time is over.
pub const ADMIN_WRONG_TOKENS: u32 = 10;

/// How long wrong tokens are counted together, from the first one on.
pub const ADMIN_WRONG_TIME: Duration = Duration::from_secs(60);

/// Clients whose wrong tokens are counted at one time. A further one has the oldest forgotten.
pub const ADMIN_WRONG_CLIENTS: usize = 1024;

/// Sessions of the status page at one time. A further one ends the oldest: its reader signs in anew.
pub const ADMIN_SESSIONS: usize = 64;

/// How long a session of the status page lasts. Then its reader signs in anew.
pub const ADMIN_SESSION_TIME: Duration = Duration::from_secs(12 * 3_600);

/// Readers that events are streamed to at one time. A further one is refused, and its page is
/// renewed by its own clock alone.
pub const ADMIN_STREAMS: usize = 64;

/// How long events are streamed in one go. Browsers connect again by themselves, and then must still
/// be allowed to.
pub const ADMIN_STREAM_TIME: Duration = Duration::from_secs(600);

/// Addresses of targets on the status page. Further ones are counted there; the API has them all.
pub const PAGE_TARGETS: usize = 1000;

/// Decisions (a route, a type, a region) on the status page. Further ones aren't made for it:
/// `waypost explain` has them.
pub const PAGE_DECISIONS: usize = 2000;

/// Zones on the status page. Further ones are counted there, those with errors last of all.
pub const PAGE_ZONES: usize = 1000;

/// Events on the status page, the newest first. `waypost events` has more.
pub const PAGE_EVENTS: usize = 50;

/// Alerts that are remembered as firing for one probe. Beyond that the target is down all the same,
/// and up again when those that are remembered have been resolved.
pub const ALERTS_FIRING: usize = 100;

/// Octets of a file that says how a target is. The first line counts, and is short.
pub const VERDICT_FILE_OCTETS: u64 = 4096;

/// How often last words are kept over a restart while they only say the same again. After a crash a
/// word may seem this much older than it is.
pub const VERDICTS_KEPT_EVERY: Duration = Duration::from_secs(5);

/// Longest time for which a told verdict holds. A request for more is refused.
pub const VERDICT_TTL_MOST: Duration = Duration::from_secs(86_400);

/// After how long an unanswered connection of a probe is tried once more beside the first, and again
/// after as long; twice the usual time of the target's answers if that is longer.
pub const REDIAL_AFTER: Duration = Duration::from_millis(250);

/// How often. A living server sees further connections only where packets were lost.
pub const REDIALS: usize = 3;

/// Between the probes that confirm a refused connection: no lost packet looks like one.
pub const REFUSAL_CONFIRMATION: Duration = Duration::from_millis(50);

/// Questions beside the first while nobody answers, and as many as make a verdict if that is more:
/// any answer says that the target lives, however many packets a bad line loses.
pub const ASKED_BESIDE: u32 = 4;

/// Other sites that are asked at once when a target falls silent, to tell its death from this server
/// being cut off.
pub const ASKED_ELSEWHERE: usize = 4;

/// A target is asked for that no more often than this.
pub const ASKED_ELSEWHERE_EVERY: Duration = Duration::from_millis(500);

/// How long a hook may run. Then it is killed, and the log says so.
pub const HOOK_TIME: Duration = Duration::from_secs(10);

/// Characters of a reason that an operator gives. A longer one is refused.
pub const REASON_CHARACTERS: usize = 200;

/// Events that one message tells. The number of those beyond is told: `waypost events` has them.
pub const NOTIFY_EVENTS: usize = 100;

/// Messages that wait for one receiver. Of more, the oldest of the least severity is dropped and
/// counted.
pub const NOTIFY_QUEUE: usize = 256;

/// How old a message may become while its receiver doesn't take it. Then it is dropped and counted.
pub const NOTIFY_AGE: Duration = Duration::from_secs(24 * 3_600);

/// How long a receiver may take for a message. Then the attempt has failed.
pub const NOTIFY_TIME: Duration = Duration::from_secs(10);

/// How long a receiver may have itself waited for (Retry-After). It is asked again by then.
pub const NOTIFY_RETRY_AFTER: Duration = Duration::from_secs(3_600);

/// Octets of a receiver's answer that are read. The rest isn't: its status says all.
pub const NOTIFY_ANSWER_OCTETS: usize = 4096;

/// Alerts that an Alertmanager is sent. Further ones aren't, and the log says so.
pub const NOTIFY_ALERTS: usize = 1000;

/// How long the parents of zones without keys are asked, all of them together, before these zones
/// are served. One that gave no answer until then says nothing.
pub const PARENT_FIRST: Duration = Duration::from_secs(5);

/// How many of them are asked at the same time.
pub const PARENTS_TOGETHER: usize = 32;
