import Basics
import Events
import Store

/// Reads alerts as people and programs see them.
public struct AlertsReader: Sendable {
  let store: Store
  let clock: WallClock
  /// Names this deployment in CloudEvents.
  let source: String

  public init(store: Store, clock: WallClock, source: String) {
    self.store = store
    self.clock = clock
    self.source = source
  }

  func alerts(
    open: Bool?, before: (at: Timestamp, id: String)? = nil, limit: Int
  ) async throws -> [AlertView] {
    try await store.read { tx in
      try AlertsRecords.list(open: open, org: nil, before: before, limit: limit, in: tx).map { AlertView($0) }
    }
  }

  func alert(_ id: AlertID) async throws -> AlertView {
    guard let row = try await store.read({ try AlertsRecords.find(id, in: $0) }) else {
      throw AWError(.notFound, "There is no alert \(id).", next: "See 'aw alert list'.")
    }
    return AlertView(row)
  }

  func endpoints() async throws -> [EndpointView] {
    try await store.read { try AlertsRecords.endpoints(in: $0) }.map { EndpointView($0) }
  }

  func routes() async throws -> [AlertRoute] { try await store.read { try AlertsRecords.routes(in: $0) } }

  /// Those that are not over, and those that ended within a day.
  func silences() async throws -> [SilenceView] {
    let now = clock.now
    return try await store.read { tx in
      try AlertsRecords.silences(endingAfter: now.advanced(by: .seconds(-86_400)), in: tx)
    }.map { SilenceView($0, at: now) }
  }

  func deliveries(
    endpoint: Slug?, state: Delivery.State?, before: (at: Timestamp, id: String)? = nil, limit: Int
  ) async throws -> [DeliveryView] {
    try await store.read { tx in
      let names = try Self.names(in: tx)
      let wanted = try endpoint.map { name in
        guard let endpoint = try AlertsRecords.endpoint(name, in: tx) else {
          throw AWError(.notFound, "There is no endpoint '\(name)'.", next: "See 'aw alert endpoint list'.")
        }
        return endpoint.id
      }
      return try DeliveryRecords.list(endpoint: wanted, state: state, before: before, limit: limit, in: tx)
        .map { try DeliveryView($0, names, DeliveryRecords.attempts(of: $0.id, in: tx)) }
    }
  }

  func delivery(_ id: DeliveryID) async throws -> DeliveryView {
    try await store.read { tx in
      guard let delivery = try DeliveryRecords.find(id, in: tx) else {
        throw AWError(.notFound, "There is no delivery \(id).", next: "See 'aw alert deliveries'.")
      }
      return try DeliveryView(delivery, Self.names(in: tx), DeliveryRecords.attempts(of: id, in: tx))
    }
  }

  private static func names(in tx: Transaction) throws -> [EndpointID: Slug] {
    Dictionary(try AlertsRecords.endpoints(in: tx).map { ($0.id, $0.name) }) { first, _ in first }
  }

  func counts() async throws -> (open: Int, waiting: Int, dead: Int) {
    try await store.read { tx in
      (
        try AlertsRecords.list(open: true, org: nil, before: nil, limit: Int(Int32.max), in: tx).count,
        try DeliveryRecords.count(.waiting, in: tx), try DeliveryRecords.count(.dead, in: tx)
      )
    }
  }

  func newestEvent() async throws -> Int64 { try await store.read { try EventOutbox.head(in: $0) } }
}
