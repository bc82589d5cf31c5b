import ArgumentParser
import Basics
import Evidence
import Foundation
import Web

/// Makes a key to sign with, for gates and handoffs alike.
struct KeygenCommand: ParsableCommand, JSONAnswering {
  static let configuration = CommandConfiguration(
    commandName: "keygen",
    abstract: "Make a key to sign with: the private one goes into a file, the public one is printed.",
    discussion: """
      Each person makes their own, on their own machine; it needs no control plane. An approver's public line goes \
      into the file of 'aw serve --approvers'.
      """)

  @Argument(help: "A name that tells whose it is, without spaces; an approver's login name.") var name: String
  @Option(help: "Where to write the private key.", completion: .file()) var out: String
  @OptionGroup var rehearsal: RehearsalOptions
  @OptionGroup var output: OutputOptions

  func run() throws {
    if rehearsal.dryRun {
      let steps = ["Write a new private key to \(out), with mode 0600.", "Print the public one."]
      return try Console.show(Plan(act: "keygen", subject: name, steps: steps), json: output.json)
    }
    let key = try ApproverKey.make(name: name)
    try key.text.withText { try SignedFile.make($0 + "\n", at: out, mode: 0o600) }
    if output.json { return try Console.json(["name": name, "key": key.verifierKey.text]) }
    Console.line(key.verifierKey.text)
  }
}

/// Files that are signed, handed on, and handed in.
enum SignedFile {
  /// - Parameter path: `-` is standard input.
  static func bytes(_ path: String) throws -> [UInt8] {
    do {
      let data = path == "-" ? try FileHandle.standardInput.readToEnd() : try Data(contentsOf: URL(filePath: path))
      return Array(data ?? Data())
    } catch {
      throw AWError(
        .usage, "The file \(path) cannot be read.", next: "Give the file that the step before wrote.", cause: error)
    }
  }

  static func read<Value: Decodable>(_ path: String, _ type: Value.Type, _ what: String) throws -> Value {
    let bytes = try bytes(path)
    do {
      return try JSONValue(parsing: bytes).decode(type)
    } catch {
      throw AWError(
        .usage, "The file \(path) holds no \(what).", next: "Give the file that the step before wrote.", cause: error)
    }
  }

  /// A file that is there is never replaced: it may be the only copy of a key.
  static func make(_ text: String, at path: String, mode: mode_t = 0o644) throws {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
    guard descriptor >= 0 else {
      let why = String(cString: strerror(errno))
      throw AWError(.usage, "The file \(path) cannot be made: \(why).", next: "Name a file that is not there yet.")
    }
    let handle = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
    try handle.write(contentsOf: Data(text.utf8))
    try handle.close()
  }

  static func replace(_ path: String, with text: String) throws {
    do {
      try Data(text.utf8).write(to: URL(filePath: path), options: .atomic)
    } catch {
      throw AWError(
        .usage, "The file \(path) cannot be written.", next: "Copy it to a folder that is yours.", cause: error)
    }
  }
}
