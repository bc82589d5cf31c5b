import Synchronization

/// A value that is known later than its holder: set once, read from anywhere.
final class Late<Value: Sendable>: Sendable {
  private let box = Mutex<Value?>(nil)

  var value: Value? { box.withLock { $0 } }

  func set(_ value: Value) { box.withLock { $0 = value } }
}
