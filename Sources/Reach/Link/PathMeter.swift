import Basics

/// Makes samples of a path from what the kernel counts of one of its connections: a value.
public struct PathMeter: Sendable {
  private struct Counts: Sendable {
    let sent: UInt32
    let sentAgain: UInt32
    let bytesOut: UInt32
    let bytesIn: UInt32
  }

  private var before: Counts?
  /// Bytes both ways between the two newest looks.
  public private(set) var bytes = 0

  public init() {}

  /// - Parameters:
  ///   - ping: how long the newest ping took, if it is not older than the look before.
  ///   - bytesBeside: what the other connections of the Host carried meanwhile.
  /// - Returns: nil for the first look, which has nothing to be compared with.
  public mutating func look(_ kernel: KernelTCP, ping: Duration?, bytesBeside: Int) -> PathSample? {
    let now = Counts(
      sent: kernel.segmentsSent, sentAgain: UInt32(truncatingIfNeeded: kernel.retransmitted),
      bytesOut: kernel.bytesAcknowledged, bytesIn: kernel.bytesReceived)
    defer { before = now }
    guard let before else { return nil }
    bytes = Int(now.bytesOut &- before.bytesOut) + Int(now.bytesIn &- before.bytesIn)
    guard bytes + bytesBeside < PathPolicy.loadedBytesMin else { return .loaded }
    // The kernel's own measure follows slowly where little is sent; a ping also waits for programs that are busy. What
    // both show is the path.
    let roundTrip = ping.map { min($0, .microseconds(Int64(kernel.roundTripMicroseconds))) }
    return PathSample(
      roundTrip: roundTrip, sent: Int(now.sent &- before.sent), sentAgain: Int(now.sentAgain &- before.sentAgain))
  }
}
