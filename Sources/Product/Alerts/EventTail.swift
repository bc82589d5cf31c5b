import Access
import Basics
import Events
import HTTPTypes
import Logging
import Store
import Synchronization
import Web

/// Events as they happen, for one listener: reads on in the outbox, so that whoever comes back misses nothing.
actor EventTail {
  /// The time between two looks at an outbox that had nothing new.
  static let lookEvery = Duration.seconds(1)
  /// Looks without an event until a comment shows that the connection lives.
  static let looksPerHeartbeat = 15
  static let eventsPerLookMax = 100

  private let store: Store
  private let source: String
  private let logger: Logger
  private let sleep: @Sendable () async throws -> Void
  private let seat: EventSeats.Seat
  private var cursor: Int64
  private var waiting: ArraySlice<EventOutbox.Entry> = []
  private var idleLooks = 0

  /// - Parameters:
  ///   - cursor: the number of the last event that the listener has.
  ///   - source: names this deployment, as CloudEvents ask for.
  init(
    store: Store, after cursor: Int64, source: String, seat: EventSeats.Seat, logger: Logger,
    clock: some Clock<Duration> = ContinuousClock()
  ) {
    self.store = store
    self.cursor = cursor
    self.source = source
    self.seat = seat
    self.logger = logger
    sleep = { try await clock.sleep(for: EventTail.lookEvery) }
  }

  /// The next event, or a sign of life. Nil ends the stream: the listener left, or the outbox cannot be read, and then
  /// it comes back with the number that it has.
  func next() async -> ServerSentEvent? {
    while !Task.isCancelled {
      if let entry = waiting.popFirst() {
        cursor = entry.sequence
        idleLooks = 0
        return .event(
          id: String(entry.sequence), name: entry.event.type.rawValue,
          data: entry.event.cloudEvent(source: source).canonical)
      }
      do {
        let after = cursor
        waiting = try await store.read { try EventOutbox.after(after, limit: Self.eventsPerLookMax, in: $0) }[...]
        guard waiting.isEmpty else { continue }
        idleLooks += 1
        if idleLooks % Self.looksPerHeartbeat == 0 { return .comment("heartbeat") }
        try await sleep()
      } catch is CancellationError {
        return nil
      } catch {
        logger.warning("a stream of events ended", metadata: ["error": "\(error)"])
        return nil
      }
    }
    return nil
  }
}

/// How many may listen at once. A seat is free again when whoever has it lets go of it.
final class EventSeats: Sendable {
  static let max = 64
  private let taken = Mutex(0)

  final class Seat: Sendable {
    private let seats: EventSeats
    fileprivate init(_ seats: EventSeats) { self.seats = seats }
    deinit { seats.taken.withLock { $0 -= 1 } }
  }

  /// - Throws: `rateLimited` when all are taken.
  func take() throws -> Seat {
    try taken.withLock { taken in
      guard taken < EventSeats.max else {
        throw AWError(
          .rateLimited, "\(EventSeats.max) listen to the events already.", next: "End one of them, or try again later.")
      }
      taken += 1
    }
    return Seat(self)
  }
}

extension AlertsRoutes {
  var events: [Route] {
    let (reader, seats, logger) = (reader, seats, logger)
    return [
      Route(
        .get, "/events",
        "Server-sent events: what happens, as CloudEvents 1.0. `Last-Event-ID` resumes after an event.",
        allowed: .permission(.read), effect: .reads, audience: .plain
      ) { request in
        let cursor = try Self.cursor(request.headers[.lastEventID] ?? request.query("after"))
        let after = if let cursor { cursor } else { try await reader.newestEvent() }
        let tail = EventTail(
          store: reader.store, after: after, source: reader.source, seat: try seats.take(), logger: logger)
        return WebResponse(body: .live(LiveSubscription(AsyncStream { await tail.next() })))
      }
    ]
  }

  private static func cursor(_ text: String?) throws -> Int64? {
    guard let text else { return nil }
    guard let number = Int64(text), number >= 0 else {
      throw AWError(
        .usage, "\(text.quoted) is no number of an event.",
        next: "Give the id of the last event that you have, or none.")
    }
    return number
  }
}
