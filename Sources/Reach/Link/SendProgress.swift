import Basics

/// Decides when what was sent goes nowhere: bytes are unacknowledged, and none has been acknowledged for too long.
///
/// The kernel's own TCP_USER_TIMEOUT is no such thing: on a slow wire that loses much it ends connections that move,
/// because it counts from when a recovery began and not from the last byte that arrived.
struct SendProgress: Sendable, Equatable {
  let patience: Duration
  private var acknowledged: UInt32?
  /// Since when nothing moves that should.
  private var stuckSince: Duration?

  init(patience: Duration) { self.patience = patience }

  /// Takes in what the kernel says.
  ///
  /// - Parameters:
  ///   - unacknowledged: segments that were sent and not acknowledged.
  ///   - acknowledged: bytes that were, in all; it may begin anew.
  /// - Returns: whether the connection is to be given up.
  mutating func saw(unacknowledged: Int, acknowledged: UInt32, now: Duration) -> Bool {
    let moves = unacknowledged == 0 || acknowledged != self.acknowledged
    self.acknowledged = acknowledged
    guard !moves else {
      stuckSince = unacknowledged == 0 ? nil : now
      return false
    }
    let since = stuckSince ?? now
    stuckSince = since
    return now - since >= patience
  }
}
