import Basics
import Mustache

/// A message that an operator writes, in Mustache.
///
/// It sees what `NotificationText.values` gives: `headline`, `org`, `openCount`, `resolvedCount`, `alerts` with
/// `title`, `severity`, `state`, `subject`, `openedAt`, `resolvedAt`, `link`, `runbook`.
struct MessageTemplate: Sendable {
  private let template: MustacheTemplate

  /// Mustache writes HTML unless told otherwise; a mail and a chat are none. On a line of its own it leaves nothing.
  private static let prefix = "{{% CONTENT_TYPE:TEXT}}\n"

  /// - Throws: `endpointTemplateInvalid` with line and column of what does not parse.
  init(_ text: String, named name: String) throws(AWError) {
    guard text.count <= EndpointLimits.templateCharactersMax else {
      throw MessageTemplate.invalid(
        name, "it is longer than \(EndpointLimits.templateCharactersMax) characters", at: nil)
    }
    do {
      template = try MustacheTemplate(string: MessageTemplate.prefix + text)
    } catch let error as MustacheTemplate.ParserError {
      let position = (line: max(1, error.context.lineNumber - 1), column: error.context.columnNumber)
      throw MessageTemplate.invalid(name, MessageTemplate.words(error.error), at: position)
    } catch {
      throw MessageTemplate.invalid(name, "it is no Mustache", at: nil)
    }
  }

  func render(_ values: JSONValue) -> String { template.render(MessageTemplate.plain(values)) }

  private static func invalid(_ name: String, _ why: String, at position: (line: Int, column: Int)?) -> AWError {
    let place = position.map { " at line \($0.line), column \($0.column)" } ?? ""
    return AWError(
      .endpointTemplateInvalid, "The template '\(name)' does not parse\(place): \(why).",
      next: "Correct the template, then save the endpoint again.")
  }

  private static func words(_ error: any Error) -> String {
    switch error as? MustacheTemplate.Error {
    case .sectionCloseNameIncorrect: "a section is closed by another name than it was opened with"
    case .unfinishedName: "a tag is not closed with }}"
    case .expectedSectionEnd: "a section is not closed"
    case .invalidSetDelimiter: "the delimiters are set wrongly"
    default: "it is no Mustache"
    }
  }

  /// Mustache takes Swift's own types. Empty text counts as missing, so that a section can ask for it.
  private static func plain(_ value: JSONValue) -> Any {
    switch value {
    case .null: return Missing()
    case .bool(let value): return value
    case .integer(let value): return value
    case .number(let value): return value
    case .string(let value): return value.isEmpty ? Missing() : value
    case .array(let elements): return elements.map(plain)
    case .object(let members): return members.mapValues(plain)
    }
  }

  private struct Missing: MustacheCustomRenderable {
    var renderText: String { "" }
    var isNull: Bool { true }
  }
}
