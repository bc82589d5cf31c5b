import Synchronization

/// A number that a test changes while others read it.
final class SecondsBox: Sendable {
  private let seconds = Mutex(0)

  var value: Int {
    get { seconds.withLock { $0 } }
    set { seconds.withLock { $0 = newValue } }
  }
}
