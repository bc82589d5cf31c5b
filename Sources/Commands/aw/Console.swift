import Basics
import Fleet
import Foundation
import Web
import Work

/// What the verbs write. Answers go to standard output, everything else to standard error.
enum Console {
  static let isTerminal = isatty(1) == 1
  static let hasColour = isTerminal && ProcessInfo.processInfo.environment["NO_COLOR"] == nil

  static func line(_ text: String) { write(text + "\n", to: .standardOutput) }
  static func complain(_ text: String) { write(text + "\n", to: .standardError) }

  /// Whoever read has gone away, as `head` does when it has seen enough: there is nobody left to talk to.
  private static func write(_ text: String, to handle: FileHandle) {
    do { try handle.write(contentsOf: Data(text.utf8)) } catch { Foundation.exit(1) }
  }

  /// A line that the next one overwrites; only for terminals.
  static func fleeting(_ text: String) { write("\r\u{1B}[2K\(text)", to: .standardOutput) }

  static func json(_ value: some Encodable) throws { line(try JSONValue(encoding: value).indented) }

  static func show(_ problem: AWError, json: Bool) {
    if json {
      let document: JSONValue = [
        "error": [
          "code": .string(problem.code.id), "message": .string(problem.message), "next": .string(problem.next),
        ]
      ]
      line(document.indented)
    } else {
      complain("aw: \(problem.message)\n    \(problem.next) [\(problem.code.id)]")
    }
  }

  static func show(_ plan: Plan, json: Bool) throws {
    if json { return try Console.json(plan) }
    line("Would do, for \(plan.subject):")
    for (number, step) in plan.steps.enumerated() { line("  \(number + 1). \(step)") }
    line("Nothing was changed.")
  }

  /// Columns as wide as what is in them; the last one is not padded.
  static func table(_ head: [String], _ rows: [[String]]) {
    let widths = head.indices.map { column in
      ([head] + rows).map { $0[column].count }.max() ?? 0
    }
    for row in [head] + rows {
      let cells = row.enumerated().map { column, text in
        column == row.count - 1 ? text : text.column(widths[column])
      }
      line(cells.joined(separator: "  "))
    }
  }

  /// `1 Instance`, `3 Instances`.
  static func count(_ number: Int, _ thing: String) -> String { "\(number) \(thing)\(number == 1 ? "" : "s")" }

  /// `3 s ago`; `never` for nothing.
  static func age(_ time: Timestamp?, now: Timestamp = Timestamp(Date())) -> String {
    time.map { "\(max(.zero, now.since($0)).words) ago" } ?? "never"
  }

  /// The word, in a colour that only helps.
  static func coloured(_ status: Status) -> String {
    guard hasColour else { return status.rawValue }
    let colour =
      switch status {
      case .current: 32
      case .stale: 33
      case .unreachable: 31
      case .degraded: 35
      case .unknown: 36
      }
    return "\u{1B}[\(colour)m\(status.rawValue)\u{1B}[0m"
  }

  /// Asks a person to type a name before something is destroyed.
  ///
  /// - Throws: `confirmationMissing` when it is another, or when nobody is there to ask.
  static func confirm(_ name: String, given: String?, _ what: String) throws {
    if let given {
      guard given == name else { throw unconfirmed(name) }
      return
    }
    guard isatty(0) == 1 else { throw unconfirmed(name) }
    write("\(what)\nType \(name) to go on: ", to: .standardError)
    guard readLine()?.trimmingCharacters(in: .whitespaces) == name else { throw unconfirmed(name) }
  }

  private static func unconfirmed(_ name: String) -> AWError {
    AWError(
      .confirmationMissing, "The name was not confirmed, so nothing was done.",
      next: "Type '\(name)' when asked, or pass --confirm \(name).")
  }
}

extension String {
  /// The text, filled with spaces up to `width`; a longer one stays whole.
  func column(_ width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}

/// Shows an operation as it goes: on a terminal the running step moves, in a log each step is a line when it is done.
struct ProgressLines {
  static let patience = Duration.seconds(3)

  private var shown: Set<String> = []
  private var waiting: String?

  mutating func show(_ operation: OperationView) {
    for step in operation.steps where step.state == .done { show("✓ \(step.title)\(Self.took(step))", of: step) }
    if let failure = operation.failure, let step = operation.steps.first(where: { $0.name == failure.step }) {
      show("✗ \(step.title): \(failure.message)", of: step)
    }
    // Undoing goes backwards.
    for step in operation.steps.reversed() where step.state == .undone { show("↺ undone: \(step.title)", of: step) }
    guard let running = operation.steps.first(where: { $0.state == .running }), !operation.isFinished else { return }
    // Waiting for a Gateway to open its port is part of every start; only what lasts is worth its words.
    let isLong = (running.startedAt.map { Timestamp(Date()).since($0) } ?? .zero) > Self.patience
    let text = "  … \(running.title)\(isLong ? running.waitingFor.map { ": \($0)" } ?? "" : "")"
    if Console.isTerminal {
      Console.fleeting(String(text.prefix(100)))
    } else if isLong, running.waitingFor != nil, waiting != text {
      waiting = text
      Console.line(text)
    }
  }

  private mutating func show(_ text: String, of step: OperationView.Step) {
    guard shown.insert("\(step.name) \(text.prefix(1))").inserted else { return }
    if Console.isTerminal { Console.fleeting("") }
    Console.line("  \(text)")
  }

  private static func took(_ step: OperationView.Step) -> String {
    step.milliseconds.map { " (\($0) ms)" } ?? ""
  }
}
