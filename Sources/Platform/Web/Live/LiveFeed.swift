import AsyncAlgorithms
import Basics
import Logging
import ServiceLifecycle
import Synchronization

/// Something that changed, for whoever looks at this moment. It says *that*, not *what*: listeners read anew.
public struct LiveEvent: Sendable, Hashable {
  /// What changed, such as `instances`: a lower-case word. It is the name of the server-sent event.
  public let topic: String
  /// Enough to find it, such as its id. Everybody who is signed in may see it.
  public let data: JSONValue

  public init(topic: String, data: JSONValue = [:]) {
    self.topic = topic
    self.data = data
  }
}

/// Tells open pages what changed: from any thread to any number of listeners, each with a bounded buffer.
///
/// Publishing never waits. A listener that falls behind by more than its buffer is cut off; its browser comes back and
/// is told to read anew, so nothing is lost but the time. The service sends the heartbeats.
public final class LiveFeed: Service, Sendable {
  private struct Listener {
    let topics: Set<String>
    let continuation: AsyncStream<ServerSentEvent>.Continuation
    var beats = 0

    func takes(_ message: ServerSentEvent) -> Bool {
      if case .enqueued = continuation.yield(message) { true } else { false }
    }
  }

  private struct State {
    var listeners: [Int: Listener] = [:]
    var nextListener = 0
    var nextEvent = 1
    var isClosed = false

    /// Removes those that `isOver` and returns them, to be finished outside of the lock.
    mutating func removeListeners(
      where isOver: (inout Listener) -> Bool
    ) -> [AsyncStream<ServerSentEvent>.Continuation] {
      var ended: [AsyncStream<ServerSentEvent>.Continuation] = []
      for (key, var listener) in listeners {
        let over = isOver(&listener)
        listeners[key] = over ? nil : listener
        if over { ended.append(listener.continuation) }
      }
      return ended
    }
  }

  /// Sets the identifiers of this process apart from those of the one before.
  private let run: String
  private let sleep: @Sendable () async throws -> Void
  private let state = Mutex(State())

  /// - Parameter clock: tells when a heartbeat is due.
  public init(clock: some Clock<Duration> = ContinuousClock()) {
    run = Hex.encode([UInt8].random(count: 4))
    sleep = { try await clock.sleep(for: WebLimits.heartbeat) }
  }

  /// How many listen now.
  public var listeners: Int { state.withLock { $0.listeners.count } }

  /// Tells every listener of the topic. For `afterCommit`: it returns at once.
  public func publish(_ event: LiveEvent) {
    let ended = state.withLock { state in
      let id = "\(run)-\(state.nextEvent)"
      state.nextEvent += 1
      let message = ServerSentEvent.event(id: id, name: event.topic, data: event.data.canonical)
      return state.removeListeners { listener in
        guard listener.topics.isEmpty || listener.topics.contains(event.topic) else { return false }
        return !listener.takes(message)
      }
    }
    ended.forEach { $0.finish() }
  }

  /// Sends a comment to everybody, so that nothing on the way takes the connection for dead.
  func beat() {
    let ended = state.withLock { state in
      state.removeListeners { listener in
        listener.beats += 1
        return listener.beats >= WebLimits.heartbeatsPerStreamMax || !listener.takes(.comment("heartbeat"))
      }
    }
    ended.forEach { $0.finish() }
  }

  /// Starts to listen; the first event is `resync`: read everything anew, whatever you saw before.
  ///
  /// - Parameter topics: none means all.
  /// - Throws: `rateLimited` when too many listen.
  func subscribe(to topics: Set<String>) throws -> LiveSubscription {
    let (stream, continuation) = AsyncStream.makeStream(
      of: ServerSentEvent.self, bufferingPolicy: .bufferingOldest(WebLimits.eventsPerListenerMax))
    let key = try state.withLock { state -> Int in
      guard state.listeners.count < WebLimits.listenersMax else { throw WebErrors.tooManyListeners }
      let key = state.nextListener
      state.nextListener += 1
      continuation.yield(.event(id: "\(run)-\(state.nextEvent - 1)", name: "resync", data: "{}"))
      guard !state.isClosed else {
        continuation.finish()
        return key
      }
      state.listeners[key] = Listener(topics: topics, continuation: continuation)
      return key
    }
    // Streams are never finished under the lock, because this takes it.
    continuation.onTermination = { [weak self] _ in self?.forget(key) }
    return LiveSubscription(stream)
  }

  private func forget(_ key: Int) { state.withLock { $0.listeners[key] = nil } }

  /// Sends heartbeats until the shutdown, then ends every stream.
  public func run() async throws {
    let beats = AsyncStream<Void> { [sleep] in
      // Cancellation is the only reason why sleeping fails, and it ends the sequence.
      do { try await sleep() } catch { return nil }
      return ()
    }
    for await _ in beats.cancelOnGracefulShutdown() { beat() }
    close()
  }

  /// Ends every stream, and every one that starts later.
  func close() {
    let ended = state.withLock { state in
      state.isClosed = true
      return state.removeListeners { _ in true }
    }
    ended.forEach { $0.finish() }
  }
}

/// One listener's events, for `WebResponse.Body.live`.
public struct LiveSubscription: Sendable {
  let events: AsyncStream<ServerSentEvent>

  public init(_ events: AsyncStream<ServerSentEvent>) { self.events = events }
}

/// A message of `text/event-stream` (WHATWG HTML, section 9.2).
public enum ServerSentEvent: Sendable, Hashable {
  case event(id: String, name: String, data: String)
  case comment(String)

  var text: String {
    switch self {
    case .comment(let text): return ": \(ServerSentEvent.oneLine(text))\n\n"
    case .event(let id, let name, let data):
      let lines = data.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
      return "id: \(ServerSentEvent.oneLine(id))\nevent: \(ServerSentEvent.oneLine(name))\n"
        + lines.map { "data: \($0)\n" }.joined() + "\n"
    }
  }

  private static func oneLine(_ text: String) -> String {
    text.split(whereSeparator: \.isNewline).joined(separator: " ")
  }
}
