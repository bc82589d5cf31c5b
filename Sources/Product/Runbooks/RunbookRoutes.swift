import Basics
import Web

/// The pages of `docs/runbooks` on the console, where the link in an alert leads. They come with the program, so they
/// are there when nothing else is.
public struct RunbookRoutes: Sendable {
  /// By name, without the list of them.
  private let runbooks: [String: RunbookText]
  private let list: RunbookText

  /// The name of the list among the files.
  private static let listName = "README"

  /// Reads the pages that are installed beside the program.
  ///
  /// - Throws: `internalFailure` when they are not there.
  public static func load() throws -> RunbookRoutes {
    RunbookRoutes(try AssetFiles.texts(of: "Runbooks", in: "runbooks", type: ".md"))
  }

  init(_ texts: [String: String]) {
    var runbooks = texts.mapValues { RunbookText($0) }
    list = runbooks.removeValue(forKey: RunbookRoutes.listName) ?? RunbookText("# Runbooks")
    self.runbooks = runbooks
  }

  public static func pages() throws -> RoomPages {
    RoomPages(
      navigation: [.init("Runbooks", path: "/runbooks")], templates: try AssetFiles.templates(of: "Runbooks"))
  }

  public var routes: [Route] {
    [
      .page("/runbooks", "The list of runbooks.") { _ in .page(listPage) },
      .page("/runbooks/{name}", "What to do about an alert.") { .page(try page(try $0.text("name"))) },
    ]
  }

  var names: [String] { runbooks.keys.sorted() }

  var listPage: Page { RunbookRoutes.page(list, isList: true) }

  func page(_ name: String) throws -> Page {
    if let runbook = runbooks[name] { return RunbookRoutes.page(runbook, isList: false) }
    throw AWError(
      .notFound, "There is no runbook with the name \(name.quoted).", next: "See the list of all: /runbooks.")
  }

  private static func page(_ text: RunbookText, isList: Bool) -> Page {
    // The title of the page stands above it already.
    let blocks = text.blocks.filter { if case .title = $0 { false } else { true } }
    return Page(
      text.title ?? "Runbook", template: "runbooks/runbook",
      values: ["blocks": .array(blocks.map(RunbookPage.block)), "isList": .bool(isList)])
  }
}

/// A runbook as its templates want it. Every member that a template asks for is there, because Mustache would look for
/// a missing one further out.
enum RunbookPage {
  static func block(_ block: RunbookText.Block) -> JSONValue {
    var members: [String: JSONValue] = [
      "isHeading": false, "isParagraph": false, "isCode": false, "isBullets": false, "isNumbers": false,
      "isTable": false, "spans": [], "items": [], "head": [], "rows": [], "code": "",
    ]
    switch block {
    case .title(let spans), .heading(let spans):
      members["isHeading"] = true
      members["spans"] = list(spans)
    case .paragraph(let spans):
      members["isParagraph"] = true
      members["spans"] = list(spans)
    case .code(let text):
      members["isCode"] = true
      members["code"] = .string(text)
    case .list(let isNumbered, let items):
      members[isNumbered ? "isNumbers" : "isBullets"] = true
      members["items"] = .array(items.map { ["blocks": .array($0.map(RunbookPage.block))] })
    case .table(let head, let rows):
      members["isTable"] = true
      members["head"] = .array(head.map { ["spans": list($0)] })
      members["rows"] = .array(rows.map { row in ["cells": .array(row.map { ["spans": list($0)] })] })
    }
    return .object(members)
  }

  private static func list(_ spans: [RunbookText.Span]) -> JSONValue { .array(spans.map(span)) }

  private static func span(_ span: RunbookText.Span) -> JSONValue {
    var members: [String: JSONValue] = ["text": "", "code": "", "bold": "", "italic": "", "link": "", "to": ""]
    switch span {
    case .text(let text): members["text"] = .string(text)
    case .code(let text): members["code"] = .string(text)
    case .bold(let text): members["bold"] = .string(text)
    case .italic(let text): members["italic"] = .string(text)
    case .link(let text, let target):
      members["link"] = .string(text)
      members["to"] = .string(target)
    }
    return .object(members)
  }
}
