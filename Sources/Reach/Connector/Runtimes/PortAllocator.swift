import Basics
import Foundation

/// Chooses the loopback port of an Instance.
enum PortAllocator {
  /// OpenClaw derives further ports from its own, so two Gateways on one Host stand at least 20 apart.
  static let spacing = 20

  /// The first port of the range that stands apart from every taken one and that `isFree` lets through.
  ///
  /// - Parameters:
  ///   - taken: the ports of the other Instances of this Host.
  ///   - isFree: whether the Host would let a program listen there.
  static func choose(in range: ClosedRange<Int>, taken: some Collection<Int>, isFree: (Int) -> Bool) -> Int? {
    stride(from: range.lowerBound, through: range.upperBound, by: spacing).first { port in
      !taken.contains { abs($0 - port) < spacing } && isFree(port)
    }
  }

  /// What to do about the port of an Instance that is being prepared.
  ///
  /// - Parameters:
  ///   - wanted: the operator's own choice, which is never changed silently.
  ///   - kept: the port from an earlier preparation.
  ///   - others: the other Instances' ports and names.
  /// - Throws: `runtimePortTaken`, naming the port and, when it is one of ours, the Instance that holds it.
  static func settle(
    in range: ClosedRange<Int>, wanted: Int?, kept: Int?, others: [Int: String], isFree: (Int) -> Bool
  ) throws(AWError) -> Int {
    if let wanted {
      if let holder = others[wanted] { throw .portTaken(wanted, by: holder) }
      guard isFree(wanted) else { throw .portTaken(wanted, by: nil) }
      return wanted
    }
    if let kept, others[kept] == nil, isFree(kept) { return kept }
    guard let port = choose(in: range, taken: others.keys, isFree: isFree) else {
      throw AWError(
        .runtimePortTaken,
        "No port from \(range.lowerBound) to \(range.upperBound) is free on this Host.",
        next: "Remove Instances from this Host, or place this one on another.")
    }
    return port
  }

  /// Whether a program could listen at 127.0.0.1:`port` now. Tried by doing it, for a moment.
  static func canListen(_ port: Int) -> Bool {
    guard let number = UInt16(exactly: port), number > 0 else { return false }
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    // Connections of the last Instance that linger in TIME_WAIT do not count; a listener still does.
    var yes: Int32 = 1
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = number.bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    let bound = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    return bound == 0 && listen(descriptor, 1) == 0
  }
}
