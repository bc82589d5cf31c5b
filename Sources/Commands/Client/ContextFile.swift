import Basics
import Foundation

/// Where a control plane is reached: what `aw up` and `aw serve` write, and what the other verbs read.
///
/// It holds no secret. On the control plane's own machine the socket is the way in; from elsewhere an API token is,
/// from a file that it names.
public struct ContextFile: Codable, Sendable, Equatable {
  static let known = 1

  public var version = ContextFile.known
  /// The base of the API and the console: `http://127.0.0.1:7080`.
  public var url: String
  /// The control plane's unix socket.
  public var socket: String?
  /// A file of mode 0600 that holds an API token.
  public var tokenFile: String?
  /// The published evidence log, where the control plane is on this machine.
  public var evidence: String?

  public init(url: String, socket: String? = nil, tokenFile: String? = nil, evidence: String? = nil) {
    self.url = url
    self.socket = socket
    self.tokenFile = tokenFile
    self.evidence = evidence
  }

  public static let name = "context.json"
  public static let variable = "AW_CONTEXT"

  /// The file to read: the given one, else what `AW_CONTEXT` names, else the one in the default data directory.
  public static func path(given: String?, environment: [String: String]) -> String {
    if let given, !given.isEmpty { return given }
    if let named = environment[variable], !named.isEmpty { return named }
    return DefaultDirectory.path(environment: environment, isRoot: geteuid() == 0) + "/" + name
  }

  /// - Throws: `contextMissing` when there is none, `contextCorrupt` when it cannot be read or understood.
  public static func load(from path: String) throws -> ContextFile {
    guard FileManager.default.fileExists(atPath: path) else {
      throw AWError(
        .contextMissing, "There is no context file at \(path).",
        next: "Start a control plane ('aw up' or 'aw serve'), or name its file with --context or \(variable).")
    }
    do {
      let context = try JSONDecoder().decode(
        ContextFile.self, from: Data(contentsOf: URL(filePath: path)))
      guard context.version == known else {
        throw corrupt(path, "it is of version \(context.version), and this program knows \(known)", nil)
      }
      guard URL(string: context.url)?.scheme != nil else {
        throw corrupt(path, "its url \(context.url.quoted) is none", nil)
      }
      return context
    } catch let error as AWError {
      throw error
    } catch {
      throw corrupt(path, "it is not the JSON document that AW writes", error)
    }
  }

  private static func corrupt(_ path: String, _ what: String, _ cause: (any Error)?) -> AWError {
    AWError(
      .contextCorrupt, "The context file \(path) cannot be used: \(what).",
      next: "Restart the control plane, which writes it anew, or name another file with --context.", cause: cause)
  }

  /// Replaces the file whole.
  public func save(to path: String) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    try encoder.encode(self).write(to: URL(filePath: path), options: .atomic)
  }
}

/// Where AW keeps its data when nobody says otherwise.
public enum DefaultDirectory {
  /// For whoever runs this process.
  public static var path: String { path(environment: ProcessInfo.processInfo.environment, isRoot: geteuid() == 0) }

  /// `/var/lib/aw` for root; for others `aw` in the directory for data of the XDG specification.
  public static func path(environment: [String: String], isRoot: Bool) -> String {
    if isRoot { return "/var/lib/aw" }
    if let data = environment["XDG_DATA_HOME"], data.hasPrefix("/") { return data + "/aw" }
    return (environment["HOME"] ?? NSHomeDirectory()) + "/.local/share/aw"
  }
}
