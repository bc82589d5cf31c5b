import CLinux

/// When the memory is given back that many handshakes needed for a moment: the allocator keeps what was freed, and a
/// fleet that came back leaves several KiB of that for each link.
///
/// | handshakes since the last look | since it was given back last | |
/// |---|---|---|
/// | some | any | it would be needed again at once |
/// | none | fewer than `handshakesMin` | there is not enough to look for |
/// | none | more | it is given back |
struct FreedMemory: Sendable {
  static let handshakesMin: Int64 = 100

  private var seen: Int64 = 0
  private var givenBackAt: Int64 = 0

  /// - Parameter handshakes: how many there were since the start of the process.
  mutating func isDue(handshakes: Int64) -> Bool {
    defer { seen = handshakes }
    guard handshakes == seen, handshakes - givenBackAt >= Self.handshakesMin else { return false }
    givenBackAt = handshakes
    return true
  }

  /// Looks through all that is free: not for an event loop.
  static func giveBack() { malloc_trim(0) }
}
