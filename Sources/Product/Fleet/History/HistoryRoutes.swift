import Access
import Basics
import Link
import Store
import Web

extension FleetReader {
  func latency(of slug: Slug, _ window: LatencyWindow) async throws -> LatencyView {
    let now = clock.now
    let since = now.advanced(by: .zero - window.length)
    return try await store.read { tx in
      guard let instance = try FleetRecords.instance(slug, in: tx) else { throw FleetService.unknown(slug) }
      return LatencyView.of(
        try SampleRecords.list(of: instance.id, since: since.advanced(by: .zero - SampleLimits.thinTo), in: tx),
        try transitions(of: instance.id, since: since, in: tx), window: window, policy: policy, apart: samples.apart,
        now: now)
    }
  }

  func lossHistory(of slug: Slug, _ window: LossWindow) async throws -> LossHistoryView {
    let now = clock.now
    let from = now.advanced(by: .zero - window.length)
    return try await store.read { tx in
      guard let host = try FleetRecords.host(slug, in: tx) else { throw FleetService.unknownHost(slug) }
      let losses = try LossRecords.list(
        host: host.id, lossClass: nil, before: nil, limit: LossHistoryView.lossesMax, in: tx)
      return LossHistoryView.of(losses, window: window, from: from, to: now)
    }
  }
}

/// The API of what was: timelines, latencies, losses over time.
extension FleetRoutes {
  var history: [Route] {
    [
      .read(
        "/api/v1/instances/{instance}/timeline", "What happened to an Instance, newest first, each with its evidence.",
        schema: .listing(of: TimelineItem.schema)
      ) { request in
        let wanted = try request.listing()
        let items = try await reader.timeline(
          of: try request.slug("instance"), before: try Self.index(wanted.after), limit: wanted.readLimit)
        return try .listing(Listing(items, for: wanted) { [String($0.index)] })
      },
      .read(
        "/api/v1/instances/{instance}/latency", "How long its checks took, link by link, and how it was meanwhile.",
        schema: RouteSchema(
          response: LatencyView.schema,
          query: [.init("window", "How far back.", JSONSchema.oneOf(LatencyWindow.allCases.map(\.rawValue)))])
      ) { request in
        try .json(
          encoding: try await reader.latency(
            of: try request.slug("instance"), try request.word("window") ?? .hour))
      },
      .read(
        "/api/v1/hosts/{host}/losses", "The losses of a Host's link over time, class by class.",
        schema: RouteSchema(
          response: LossHistoryView.schema,
          query: [.init("window", "How far back.", JSONSchema.oneOf(LossWindow.allCases.map(\.rawValue)))])
      ) { request in
        try .json(
          encoding: try await reader.lossHistory(of: try request.slug("host"), try request.word("window") ?? .week))
      },
    ]
  }

  static func index(_ cursor: Cursor?) throws -> Int64? {
    guard let cursor else { return nil }
    guard cursor.keys.count == 1, let index = Int64(cursor.keys[0]) else {
      throw AWError(.usage, "The cursor is not one that this API gave out.", next: "Begin again without one.")
    }
    return index
  }
}
