import ArgumentParser
import Basics
import Client
import Deployment
import Foundation
import Logging
import Web

/// Words of help that more than one verb has.
enum HelpWords {
  static let data = "Where the data is kept; else /var/lib/aw for root, ~/.local/share/aw for others."
}

/// A verb that can answer as JSON.
protocol JSONAnswering: SendableMetatype {
  var output: OutputOptions { get }
}

struct OutputOptions: ParsableArguments {
  @Flag(help: "Answer as one JSON document.") var json = false
}

struct ContextOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The context file of the control plane.",
      discussion: "Without it: the file that AW_CONTEXT names, else context.json in the default data directory.",
      valueName: "file"),
    completion: .file(extensions: ["json"]))
  var context: String?

  var path: String { ContextFile.path(given: context, environment: ProcessInfo.processInfo.environment) }

  /// Whether somebody said which file.
  var isNamed: Bool { context != nil || ProcessInfo.processInfo.environment[ContextFile.variable] != nil }

  var client: APIClient { get throws { try APIClient(try ContextFile.load(from: path)) } }
}

struct RehearsalOptions: ParsableArguments {
  @Flag(name: .customLong("dry-run"), help: "Say what would be done, and change nothing.") var dryRun = false

  var query: (String, String?) { ("dryRun", dryRun ? "true" : nil) }
}

/// What verbs that change something have in common.
struct ActOptions: ParsableArguments {
  @OptionGroup var context: ContextOptions
  @OptionGroup var rehearsal: RehearsalOptions
  @OptionGroup var output: OutputOptions
  @Option(help: "The approval of others that it uses, if it needs one: see 'aw approval list'.") var approval: String?

  var isRehearsal: Bool { rehearsal.dryRun }

  /// Names the approval with what it sends.
  var client: APIClient {
    get throws {
      var client = try context.client
      client.approval = try approval.map(Typed.id)
      return client
    }
  }

  /// Asks for the act. Of a rehearsal it shows the plan and answers nil: then there is nothing more to say.
  func send(
    _ method: APIClient.Method, _ path: String, query: [(String, String?)] = [],
    body: (any Encodable & Sendable)? = nil
  ) async throws -> JSONValue? {
    let answer = try await client.send(method, path, query: [rehearsal.query] + query, body: body)
    guard isRehearsal else { return answer }
    try Console.show(answer.decode(Plan.self), json: output.json)
    return nil
  }
}

extension ActOptions {
  /// Asks for the act and says what came of it: the answer as JSON, or one line.
  func tell(
    _ method: APIClient.Method, _ path: String, query: [(String, String?)] = [],
    body: (any Encodable & Sendable)? = nil, _ line: (JSONValue) throws -> String
  ) async throws {
    guard let answer = try await send(method, path, query: query, body: body) else { return }
    if output.json { return try Console.json(answer) }
    Console.line(try line(answer))
  }
}

/// What somebody types that is more than a word.
enum Typed {
  /// - Throws: `usage` for what is no time.
  static func time(_ text: String) throws(AWError) -> Timestamp {
    guard let time = Timestamp(text) else {
      throw AWError(.usage, "\(text.quoted) is no time.", next: "Write it like 2026-12-24T00:00:00Z.")
    }
    return time
  }

  /// - Throws: `usage` for what is no identifier.
  static func id(_ text: String) throws(AWError) -> String {
    guard let id = ID<Never>(text) else {
      throw AWError(.usage, "\(text.quoted) is no id.", next: "Copy it from the list: it has 36 characters.")
    }
    return id.text
  }

  /// `name=value`, once for each; the last of a name counts.
  ///
  /// - Parameter example: of one, for whoever wrote none.
  static func pairs(_ texts: [String], like example: String) throws(AWError) -> [String: String] {
    var pairs: [String: String] = [:]
    for text in texts {
      let parts = text.split(separator: "=", maxSplits: 1).map(String.init)
      guard parts.count == 2 else {
        throw AWError(.usage, "\(text.quoted) gives no value to a name.", next: "Write it like \(example).")
      }
      pairs[parts[0]] = parts[1]
    }
    return pairs
  }
}

struct LogOptions: ParsableArguments {
  @Option(help: "The least level that is logged: trace, debug, info, notice, warning, error, critical.")
  var logLevel: Logger.Level?
  @Option(help: "text, or json for one object a line.") var logFormat: ConsoleLog.Format = .text

  func logger(_ label: String, default level: Logger.Level) -> Logger {
    Logger(label: label, factory: ConsoleLog.factory(level: logLevel ?? level, format: logFormat))
  }
}

extension Logger.Level: @retroactive ExpressibleByArgument {}
extension ConsoleLog.Format: ExpressibleByArgument {}

extension Slug: ExpressibleByArgument {
  public init?(argument: String) { try? self.init(argument) }
}

/// Files that hold one secret.
enum SecretFile {
  /// Reads it, such as from `/dev/fd/3`; `-` is standard input.
  static func read(_ path: String) throws -> Secret {
    do {
      // Standard input can be a socket, which cannot be opened by its name.
      let data = path == "-" ? try FileHandle.standardInput.readToEnd() : try Data(contentsOf: URL(filePath: path))
      let text = String(decoding: data ?? Data(), as: UTF8.self)
      return Secret(text.trimmingCharacters(in: .whitespacesAndNewlines))
    } catch {
      throw AWError(
        .usage, "The file \(path) cannot be read.", next: "Give a file that holds the secret, or /dev/fd/N.",
        cause: error)
    }
  }
}
