import Basics

/// A page of the console: a template of a room, and the values it shows.
public struct Page: Sendable {
  public let title: String
  /// The name of the template, as registered by the room.
  public let template: String
  /// An object. Text in it is escaped when it is shown.
  public let values: JSONValue
  /// Its pictures: `{{{drawing.NAME}}}` shows one, and is all that a template may show as it is.
  public let drawings: [String: Drawing]
  /// What other rooms add: `{{{sections}}}` shows them, in this order.
  public let sections: [Section]
  /// The topic of `LiveEvent` at which the page reads itself anew; nil for a page that stands still.
  public let live: String?

  /// A part of a page with a template and values of its own.
  public struct Section: Sendable {
    public let template: String
    /// An object. Text in it is escaped when it is shown.
    public let values: JSONValue

    public init(template: String, values: JSONValue) {
      self.template = template
      self.values = values
    }
  }

  public init(
    _ title: String, template: String, values: JSONValue = [:], drawings: [String: Drawing] = [:],
    sections: [Section] = [], live: String? = nil
  ) {
    self.title = title
    self.template = template
    self.values = values
    self.drawings = drawings
    self.sections = sections
    self.live = live
  }
}

/// What a room adds to the console.
public struct RoomPages: Sendable {
  /// An entry of the navigation.
  public struct Entry: Sendable, Hashable {
    public let title: String
    public let path: String
    /// The letter that leads here after `g`; nil for none.
    public let key: String?
    /// The beginnings of other paths whose pages belong to it.
    public let covers: [String]

    public init(_ title: String, path: String, key: String? = nil, covers: [String] = []) {
      self.title = title
      self.path = path
      self.key = key
      self.covers = covers
    }
  }

  public let navigation: [Entry]
  /// Mustache templates by name: `room/page`.
  public let templates: [String: String]

  public init(navigation: [Entry] = [], templates: [String: String]) {
    self.navigation = navigation
    self.templates = templates
  }
}
