import Access
import Basics
import Evidence
import Store

extension EvidenceRoutes {
  private static let orgEntriesShown = 12

  /// The newest evidence of an Org, for its page.
  ///
  /// - Parameter org: its id.
  public func section(ofOrg org: String, _ request: WebRequest) async throws -> Page.Section? {
    var filter = EvidenceFilter()
    filter.org = org
    let (log, wanted) = (log, filter)
    let records = try await store.read { tx in
      try log.list(before: nil, limit: Self.orgEntriesShown, filter: wanted, in: tx)
    }
    let names = try await ActorNames(of: records.map(\.entry.actor), in: store)
    return Page.Section(
      template: "evidence-org",
      values: [
        "org": .string(org), "entries": .array(records.map { Self.row($0, names) }),
        "hasEntries": .bool(!records.isEmpty),
      ])
  }
}
