import Synchronization

/// Who hears which events of one connection, and how many nobody heard.
final class EventAudience: Sendable {
  /// What one listener may leave unread; then the oldest are dropped.
  static let bufferedMax = 1_024

  private struct Listener {
    let wants: @Sendable (GatewayEvent) -> Bool
    let sink: AsyncStream<GatewayEvent>.Continuation
  }

  private struct State {
    var listeners: [Int: Listener] = [:]
    var lastNumber = 0
    var hasEnded = false
    var gaps = SequenceGaps()
    var dropped = 0
  }

  private let state = Mutex(State())

  /// Numbers that the Gateway skipped, and events that a full buffer dropped.
  var missed: Int {
    state.withLock { state in
      let (sum, isOver) = Int(clamping: state.gaps.missed).addingReportingOverflow(state.dropped)
      return isOver ? .max : sum
    }
  }

  /// The events that `wants` chooses, from now on. Ends with the connection.
  func listen(for wants: @escaping @Sendable (GatewayEvent) -> Bool) -> AsyncStream<GatewayEvent> {
    let (stream, sink) = AsyncStream<GatewayEvent>.makeStream(bufferingPolicy: .bufferingNewest(Self.bufferedMax))
    let number = state.withLock { state -> Int? in
      guard !state.hasEnded else { return nil }
      state.lastNumber += 1
      state.listeners[state.lastNumber] = Listener(wants: wants, sink: sink)
      return state.lastNumber
    }
    guard let number else {
      sink.finish()
      return stream
    }
    sink.onTermination = { [weak self] _ in self?.leave(number) }
    return stream
  }

  func hear(_ event: GatewayEvent) {
    let sinks = state.withLock { state in
      state.gaps.note(event.sequence)
      return state.listeners.values.filter { $0.wants(event) }.map(\.sink)
    }
    // Outside the lock: a sink may call back when its reader has gone.
    for sink in sinks {
      if case .dropped = sink.yield(event) { state.withLock { $0.dropped += 1 } }
    }
  }

  func end() {
    let sinks = state.withLock { state in
      state.hasEnded = true
      return state.listeners.values.map(\.sink)
    }
    for sink in sinks { sink.finish() }
  }

  private func leave(_ number: Int) {
    // The listener is let go outside the lock, because its sink's end may call back.
    let gone = state.withLock { $0.listeners.removeValue(forKey: number) }
    withExtendedLifetime(gone) {}
  }
}

/// Counts what is missing from a connection's numbered events.
struct SequenceGaps: Sendable, Equatable {
  private(set) var missed: Int64 = 0
  private var last: Int64?

  /// - Parameter sequence: nil on events that are for one client only: those have no number. It is the Instance's word:
  ///   no number is too great to be counted with.
  mutating func note(_ sequence: Int64?) {
    guard let sequence else { return }
    if let last, sequence > last {
      let (skipped, isTooGreat) = sequence.subtractingReportingOverflow(last)
      let (sum, isOver) = missed.addingReportingOverflow(isTooGreat ? .max : skipped - 1)
      missed = isOver ? .max : sum
    }
    last = max(sequence, last ?? sequence)
  }
}
