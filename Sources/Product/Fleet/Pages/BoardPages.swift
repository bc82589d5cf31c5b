import Access
import Basics
import Foundation
import Link
import Web

/// The address of a board: everything that it shows follows from it, so that bookmarks and the back button work.
struct BoardAddress: Sendable, Equatable {
  static let limits = [25, 50, 100, 200]

  var filter: BoardFilter
  /// Instances of a page.
  var limit: Int
  var cursor: Cursor?

  /// - Throws: `usage`, or what is wrong with a name.
  init(_ request: WebRequest) throws {
    filter = try FleetRoutes.filter(request)
    let listing = try request.listing()
    (limit, cursor) = (listing.limit, listing.after)
  }

  /// Another status of the same board, from its beginning.
  func with(status: Status?) -> String {
    var address = self
    address.filter.status = status
    address.cursor = nil
    return address.text
  }

  func at(_ cursor: Cursor?) -> String {
    var address = self
    address.cursor = cursor
    return address.text
  }

  var text: String {
    let all: [(String, String?)] = [
      ("name", filter.name), ("org", filter.org?.text), ("host", filter.host?.text),
      ("status", filter.status?.rawValue), ("version", filter.version), ("cause", filter.cause?.rawValue),
      ("limit", limit == WebLimits.pageItemsDefault ? nil : String(limit)), ("cursor", cursor?.text),
    ]
    let parts = all.compactMap { name, value in value.map { "\(name)=\(Self.encode($0))" } }
    return parts.isEmpty ? "/" : "/?" + parts.joined(separator: "&")
  }

  private static let plain = CharacterSet.alphanumerics.union(CharacterSet(charactersIn: "-._~"))

  private static func encode(_ text: String) -> String {
    text.addingPercentEncoding(withAllowedCharacters: plain) ?? ""
  }
}

extension FleetRoutes {
  func boardPage(_ request: WebRequest) async throws -> WebResponse {
    let address = try BoardAddress(request)
    let rows = try await reader.rows()
    let page = try await reader.page(
      of: rows, address.filter, sort: .worst, limit: address.limit, after: address.cursor)
    let summary = try await reader.summary(of: rows.filter(address.filter.ofAnyStatus.takes).map(\.status))
    let isFiltered = address.filter != BoardFilter()
    let shown = address.filter.status.map { summary.statuses[$0.rawValue] ?? 0 } ?? summary.instances
    var values: [String: JSONValue] = [
      "instances": .array(page.items.map { Self.row($0) }), "hasInstances": .bool(!page.items.isEmpty),
      "isEmpty": .bool(rows.isEmpty), "noMatch": .bool(!rows.isEmpty && page.items.isEmpty),
      "counts": .array(Self.counts(summary, address)), "doubt": .string(summary.doubt ?? ""),
      "hosts": .integer(Int64(summary.hosts)), "hostsConnected": .integer(Int64(summary.hostsConnected)),
      "mayCreate": .bool(request.caller?.role == .owner), "isFiltered": .bool(isFiltered),
      "total": .integer(Int64(shown)), "isMany": .bool(shown != 1),
      "first": .string(address.cursor == nil ? "" : address.at(nil)),
      "next": .string(page.next.map { address.at($0) } ?? ""),
    ]
    values.merge(Self.fields(address, rows)) { _, new in new }
    return .page(Page("Fleet", template: "fleet/fleet", values: .object(values), live: FleetTopics.fleet))
  }

  /// How many of each status the other filters take; each leads to those.
  private static func counts(_ summary: FleetSummary, _ address: BoardAddress) -> [JSONValue] {
    Status.allCases.sorted { $0.severity > $1.severity }.compactMap { status in
      let (count, isChosen) = (summary.statuses[status.rawValue] ?? 0, address.filter.status == status)
      guard count > 0 || isChosen else { return nil }
      return [
        "status": .string(status.rawValue), "count": .integer(Int64(count)), "isChosen": .bool(isChosen),
        "to": .string(address.with(status: isChosen ? nil : status)),
      ]
    }
  }

  /// The form as it was sent.
  private static func fields(_ address: BoardAddress, _ rows: [BoardRow]) -> [String: JSONValue] {
    let filter = address.filter
    let versions = Set(rows.compactMap(\.version)).union(filter.version.map { [$0] } ?? []).sorted(by: >)
    func options(_ all: [(value: String, title: String)], _ chosen: String?) -> JSONValue {
      .array(
        all.map { option in
          [
            "value": .string(option.value), "title": .string(option.title), "chosen": .bool(option.value == chosen),
          ]
        })
    }
    return [
      "name": .string(filter.name ?? ""), "org": .string(filter.org?.text ?? ""),
      "host": .string(filter.host?.text ?? ""),
      "statuses": options(Status.allCases.map { ($0.rawValue, $0.rawValue) }, filter.status?.rawValue),
      "causes": options(ChainLink.allCases.map { ($0.rawValue, $0.title) }, filter.cause?.rawValue),
      "versions": options(versions.prefix(100).map { ($0, $0) }, filter.version),
      "limits": options(BoardAddress.limits.map { (String($0), String($0)) }, String(address.limit)),
    ]
  }
}
