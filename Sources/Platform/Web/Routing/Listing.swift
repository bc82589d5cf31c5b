import Basics

/// Where a listing goes on: the sort keys of the last item that was given out. Opaque to clients.
public struct Cursor: Sendable, Hashable {
  public let keys: [String]

  public init(keys: [String]) { self.keys = keys }

  /// Reads what `text` wrote; nil for anything else.
  public init?(_ text: String) {
    guard text.utf8.count <= WebLimits.cursorBytesMax, let bytes = Base64URL.decode(text),
      let elements = (try? JSONValue(parsing: bytes))?.arrayValue
    else { return nil }
    let keys = elements.compactMap(\.stringValue)
    guard !keys.isEmpty, keys.count == elements.count else { return nil }
    self.keys = keys
  }

  public var text: String { Base64URL.encode(JSONValue.array(keys.map { .string($0) }).canonical.utf8) }
}

/// Which part of a listing is wanted.
public struct ListingRequest: Sendable, Hashable {
  /// 1 to 200.
  public let limit: Int
  public let after: Cursor?

  public init(limit: Int, after: Cursor?) {
    self.limit = limit
    self.after = after
  }

  /// How many items to read: one more than wanted tells whether there are others.
  public var readLimit: Int { limit + 1 }
}

/// A part of a listing.
public struct Listing<Item: Sendable>: Sendable {
  public let items: [Item]
  /// Nil at the end.
  public let next: Cursor?

  public init(_ items: [Item], next: Cursor?) {
    self.items = items
    self.next = next
  }

  /// - Parameters:
  ///   - read: up to `ListingRequest.readLimit` items.
  ///   - keys: the sort keys of an item, enough to go on after it.
  public init(_ read: [Item], for request: ListingRequest, keys: (Item) -> [String]) {
    items = Array(read.prefix(request.limit))
    next = read.count > request.limit ? items.last.map { Cursor(keys: keys($0)) } : nil
  }
}
