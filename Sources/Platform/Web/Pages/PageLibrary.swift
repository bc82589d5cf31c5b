import Access
import Basics
import Mustache

/// Every template, compiled, inside the one layout, or inside that of a document that stands for itself.
///
/// In a template the values of its page stand at the top level; `aw.csrf`, `aw.path`, `aw.now`, `aw.operator` come from
/// the chrome. Partials of the chrome: `csrf` (the hidden field of a form), `status`, `age`, `copy`, `confirm`.
public struct PageLibrary: Sendable {
  public let assets: AssetFiles
  private let library: MustacheLibrary
  private let navigation: [RoomPages.Entry]
  /// The names of the templates that a `Page` can name.
  public let names: [String]

  private static let chrome: Set<String> = ["layout", "document", "csrf", "status", "age", "copy", "confirm"]

  /// Compiles everything.
  ///
  /// - Throws: `internalFailure` for a template that does not compile, writes without escaping, names a partial that
  ///   there is not, or has the name of another one.
  public init(assets: AssetFiles, rooms: [RoomPages]) throws {
    self.assets = assets
    var texts = assets.templates
    for (name, text) in rooms.flatMap(\.templates) {
      guard texts.updateValue(text, forKey: name) == nil else {
        throw PageLibrary.defect("there are two templates with the name \(name.quoted)")
      }
    }
    var library = MustacheLibrary()
    for (name, text) in texts {
      try PageLibrary.check(name, text, known: Set(texts.keys))
      try PageLibrary.register(text, as: name, in: &library)
    }
    let pages = texts.keys.filter { !PageLibrary.chrome.contains($0) }
    for name in pages {
      for layout in ["layout", "document"] {
        let framed = "{{<\(layout)}}{{$body}}{{> \(name)}}{{/body}}{{/\(layout)}}"
        try PageLibrary.register(framed, as: PageLibrary.framed(name, in: layout), in: &library)
      }
    }
    self.library = library
    self.names = pages.sorted()
    self.navigation = rooms.flatMap(\.navigation)
  }

  /// The HTML of a page.
  ///
  /// - Throws: `internalFailure` when there is no such template.
  public func render(_ page: Page, for caller: Caller?, path: String, at now: Timestamp) throws -> String {
    try render(page, chrome(page, caller, path, now), in: "layout")
  }

  /// The HTML of a page as a file that somebody keeps: its styles are in it, it loads nothing and runs nothing.
  ///
  /// - Throws: `internalFailure` when there is no such template.
  public func document(_ page: Page, at now: Timestamp) throws -> String {
    try render(page, chrome(page, nil, "", now), in: "document")
  }

  private func render(_ page: Page, _ chrome: JSONValue, in layout: String) throws -> String {
    let ready: [String: Any] = [
      "drawing": page.drawings.mapValues(\.svg),
      "sections": try page.sections.map { try render($0.values, chrome, with: $0.template) }.joined(separator: "\n"),
      "stylesheet": layout == "document" ? String(decoding: assets.assets["aw.css"]?.bytes ?? [], as: UTF8.self) : "",
    ]
    return try render(page.values, chrome, ready, with: PageLibrary.framed(page.template, in: layout))
  }

  /// - Parameter ready: always all of these, so that no value of a page can pass for what stands as it is.
  private func render(
    _ values: JSONValue, _ chrome: JSONValue,
    _ ready: [String: Any] = ["drawing": "", "sections": "", "stylesheet": ""], with template: String
  ) throws -> String {
    var values = values.objectValue ?? [:]
    values["aw"] = chrome
    let object = values.mapValues(PageLibrary.plain).merging(ready) { $1 }
    guard let html = library.render(object, withTemplate: template) else {
      throw PageLibrary.defect("there is no template with the name \(template.quoted)")
    }
    return html
  }

  private func chrome(_ page: Page, _ caller: Caller?, _ path: String, _ now: Timestamp) -> JSONValue {
    var chrome: [String: JSONValue] = [
      "title": .string(page.title), "path": .string(path), "now": .string(now.description),
      "css": .string(assets.path("aw.css")), "js": .string(assets.path("aw.js")),
      "seal": .string(assets.path("seal.js")), "mark": .string(assets.path("mark.svg")),
      "live": .string(page.live ?? ""),
      "isLive": .bool(page.live != nil && caller != nil),
    ]
    guard let caller else { return .object(chrome) }
    chrome["operator"] = ["name": .string(caller.name), "role": .string(caller.role.rawValue)]
    chrome["isOwner"] = .bool(caller.role == .owner)
    chrome["csrf"] = .string(caller.csrf ?? "")
    chrome["navigation"] = .array(
      navigation.map { entry in
        let isHere =
          path == entry.path || (entry.path != "/" && path.hasPrefix(entry.path + "/"))
          || entry.covers.contains { path.hasPrefix($0) }
        return [
          "title": .string(entry.title), "path": .string(entry.path), "key": .string(entry.key ?? ""),
          "isHere": .bool(isHere),
        ]
      })
    return .object(chrome)
  }

  // MARK: - Checks

  private static func framed(_ name: String, in layout: String) -> String { "\(layout):\(name)" }

  private static func register(_ text: String, as name: String, in library: inout MustacheLibrary) throws {
    do {
      try library.register(text, named: name)
    } catch {
      throw defect("the template \(name.quoted) does not compile", cause: error)
    }
  }

  private static func check(_ name: String, _ text: String, known: Set<String>) throws {
    let written = text.replacing(/\{\{\{(?:drawing\.[a-z]+|sections|stylesheet)\}\}\}/, with: "")
    if written.contains("{{{") || written.contains(/\{\{\s*&/) {
      throw defect("the template \(name.quoted) writes a value without escaping it")
    }
    if text.contains(/(?i)<script(?![^>]*\ssrc=)|\sstyle=|\son[a-z]+=/) {
      throw defect("the template \(name.quoted) has a script or style in the page, which browsers are told to refuse")
    }
    for match in text.matches(of: /\{\{\s*>\s*([^}\s]+)\s*\}\}/) where !known.contains(String(match.output.1)) {
      throw defect("the template \(name.quoted) names the partial \(String(match.output.1).quoted), which is not there")
    }
  }

  private static func defect(_ what: String, cause: (any Error)? = nil) -> AWError {
    AWError(
      .internalFailure, "A page of the console cannot be shown: \(what).",
      next: "This is a defect in AW: report it with the log of the control plane.", cause: cause)
  }

  /// JSON as the values that Mustache looks into. Null and empty text count as missing, so that sections can ask for
  /// them.
  private static func plain(_ value: JSONValue) -> Any {
    switch value {
    case .null: return MissingText()
    case .bool(let value): return value
    case .integer(let value): return value
    case .number(let value): return value
    case .string(let value): return value.isEmpty ? MissingText() : value
    case .array(let elements): return elements.map(plain)
    case .object(let members): return members.mapValues(plain)
    }
  }

  /// Text that is empty: shows nothing, and is no section.
  private struct MissingText: MustacheCustomRenderable {
    var renderText: String { "" }
    var isNull: Bool { true }
  }
}
