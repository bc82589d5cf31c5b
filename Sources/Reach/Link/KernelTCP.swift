import NIOCore

#if canImport(Glibc)
  import Glibc
#endif

/// What the kernel says of a connection: Linux's `struct tcp_info`, of which the C library knows only the beginning.
public struct KernelTCP: Sendable {
  /// The structure as the kernel of 2018 and later fills it, in words of 32 bits.
  private let words: InlineArray<58, UInt32>

  private init(_ words: InlineArray<58, UInt32>) { self.words = words }

  /// Segments that were sent and not acknowledged (`tcpi_unacked`).
  var unacknowledged: Int { Int(words[6]) }
  /// Smoothed round trip, in microseconds (`tcpi_rtt`).
  var roundTripMicroseconds: Int { Int(words[17]) }
  /// The least round trip since the connection was made, in microseconds (`tcpi_min_rtt`); 0 before the first sample.
  var leastRoundTripMicroseconds: Int { words[37] == UInt32.max ? 0 : Int(words[37]) }
  /// Retransmissions since the connection was made (`tcpi_total_retrans`).
  var retransmitted: Int { Int(words[25]) }
  /// Bytes that were acknowledged and that arrived; each begins anew after 2^32 (the lower halves of
  /// `tcpi_bytes_acked` and `tcpi_bytes_received`).
  public var bytesAcknowledged: UInt32 { words[30] }
  public var bytesReceived: UInt32 { words[32] }
  /// Segments that were sent, again or not; it begins anew after 2^32 (`tcpi_segs_out`).
  var segmentsSent: UInt32 { words[34] }
  /// Segments that arrived, whatever was in them; it begins anew after 2^32 (`tcpi_segs_in`).
  var segmentsHeard: UInt32 { words[35] }

  /// Bytes that wait to be sent (`tcpi_notsent_bytes`). A firewall of this machine that swallows them keeps them here.
  var unsent: Int { Int(words[36]) }

  public var evidence: LossEvidence.TCP { evidence(heardSincePing: nil) }

  /// - Parameter heardAtPing: `segmentsHeard` when the ping was sent that nobody answered.
  func evidence(heardSincePing heardAtPing: UInt32?) -> LossEvidence.TCP {
    .init(
      unacknowledged: unacknowledged, retransmitted: retransmitted, roundTripMicroseconds: roundTripMicroseconds,
      heardSincePing: heardAtPing.map { Int(segmentsHeard &- $0) }, unsent: unsent)
  }

  public static func of(_ socket: any SocketOptionProvider) -> EventLoopFuture<KernelTCP> {
    let words: EventLoopFuture<InlineArray<58, UInt32>> =
      socket.unsafeGetSocketOption(level: .tcp, name: .init(rawValue: TCP_INFO))
    return words.map { KernelTCP($0) }
  }
}
