import Synchronization

/// A value that is known later than its holder: a server, of which the handlers of its connections know.
public final class Late<Value: Sendable>: Sendable {
  private let box = Mutex<Value?>(nil)

  public init() {}

  public var value: Value? { box.withLock { $0 } }

  public func set(_ value: Value) { box.withLock { $0 = value } }
}
