import Basics
import Synchronization
import Web

/// Remembers in which order a board was shown, so that its later pages go on where the one before ended, whatever
/// becomes worse or better meanwhile: no Instance is left out and none comes twice.
///
/// In memory and bounded. A cursor whose order is forgotten goes on by severity and name, as they are now.
final class BoardOrders: Sendable {
  /// Orders kept. At 10,000 Instances one takes 160 KB: the slugs themselves are shared.
  static let ordersMax = 64

  private struct Order {
    let name: String
    let filter: BoardFilter
    let slugs: [String]
  }

  private struct State {
    /// Oldest first.
    var orders: [Order] = []
    var count = 0
  }

  private let state = Mutex(State())

  /// Keeps an order.
  ///
  /// - Returns: its name, for cursors. The same order of the same filter keeps its name.
  func keep(_ slugs: [String], of filter: BoardFilter) -> String {
    state.withLock { state in
      if let index = state.orders.lastIndex(where: { $0.filter == filter && $0.slugs == slugs }) {
        let order = state.orders.remove(at: index)
        state.orders.append(order)
        return order.name
      }
      state.count += 1
      state.orders.append(Order(name: String(state.count), filter: filter, slugs: slugs))
      if state.orders.count > Self.ordersMax { state.orders.removeFirst() }
      return String(state.count)
    }
  }

  /// The order of that name, if it is still kept and belongs to the filter.
  func order(_ name: String, of filter: BoardFilter) -> [String]? {
    state.withLock { state in
      guard let index = state.orders.firstIndex(where: { $0.name == name && $0.filter == filter }) else { return nil }
      let order = state.orders.remove(at: index)
      state.orders.append(order)
      return order.slugs
    }
  }
}

/// One page of the board.
struct BoardPage: Sendable, Equatable {
  let rows: [BoardRow]
  /// Nil at the end.
  let next: Cursor?

  /// - Parameters:
  ///   - rows: all that the filter takes, in any order.
  ///   - orders: where the order of a board that is shown worst first is kept.
  /// - Throws: `usage` for a cursor of another listing.
  static func of(
    _ rows: [BoardRow], filter: BoardFilter, sort: BoardSort, limit: Int, after: Cursor?, orders: BoardOrders
  ) throws -> BoardPage {
    switch sort {
    case .slug:
      let sorted = rows.sorted { $0.slug < $1.slug }
      if let after, after.keys.count != 1 { throw strange }
      let rest = sorted.drop { row in after.map { row.slug <= $0.keys[0] } ?? false }
      return page(Array(rest.prefix(limit + 1)), limit: limit) { [$0.slug] }
    case .worst:
      return try worstFirst(rows, filter: filter, limit: limit, after: after, orders: orders)
    }
  }

  private static func worstFirst(
    _ rows: [BoardRow], filter: BoardFilter, limit: Int, after: Cursor?, orders: BoardOrders
  ) throws -> BoardPage {
    func sorted() -> [BoardRow] {
      rows.sorted { ($1.status.severity, $0.slug) < ($0.status.severity, $1.slug) }
    }
    guard let after else {
      let sorted = sorted()
      let fits = sorted.count <= limit
      let name = fits ? "" : orders.keep(sorted.map(\.slug), of: filter)
      return page(Array(sorted.prefix(limit + 1)), limit: limit) { $0.worstFirst + [name] }
    }
    guard after.keys.count == 3 else { throw strange }
    let (key, slug, name) = (Array(after.keys.prefix(2)), after.keys[1], after.keys[2])
    let cursor: (BoardRow) -> [String] = { $0.worstFirst + [name] }
    guard let order = orders.order(name, of: filter), let place = order.firstIndex(of: slug) else {
      let rest = sorted().drop { !key.lexicographicallyPrecedes($0.worstFirst) }
      return page(Array(rest.prefix(limit + 1)), limit: limit, cursor)
    }
    let known = Dictionary(rows.map { ($0.slug, $0) }) { first, _ in first }
    let rest = order[(place + 1)...].lazy.compactMap { known[$0] }
    return page(Array(rest.prefix(limit + 1)), limit: limit, cursor)
  }

  private static func page(_ read: [BoardRow], limit: Int, _ keys: (BoardRow) -> [String]) -> BoardPage {
    let rows = Array(read.prefix(limit))
    return BoardPage(rows: rows, next: read.count > limit ? rows.last.map { Cursor(keys: keys($0)) } : nil)
  }

  private static let strange = AWError(
    .usage, "The cursor belongs to another listing.", next: "Begin again without one.")
}
