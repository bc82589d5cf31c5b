import Access
import Basics
import Web

/// A part of an Org's page that a room adds; nil when it has nothing to say of this Org.
public typealias OrgSection = @Sendable (OrgView, WebRequest) async throws -> Page.Section?

extension FleetRoutes {
  /// The Instances of an Org, on its page.
  public func section(of org: OrgView, _ request: WebRequest) async throws -> Page.Section? {
    let page = try await reader.page(
      of: try await reader.rows(), BoardFilter(org: org.slug), sort: .worst, limit: Self.placedShown, after: nil)
    let running = page.items.compactMap(\.operation).first { !$0.isFinished }
    let names = try await ActorNames(of: [running?.actor], in: reader.store)
    return Page.Section(
      template: "fleet/org-instances",
      values: [
        "org": .string(org.slug.text), "placed": .array(page.items.map { Self.row($0) }),
        "hasPlaced": .bool(!page.items.isEmpty), "hasMore": .bool(page.next != nil),
        "operation": running.map { Self.operation($0, names) } ?? .null,
      ])
  }
}
