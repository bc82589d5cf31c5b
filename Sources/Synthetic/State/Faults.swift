import Basics
import Foundation

/// What goes wrong on purpose. Told at the start, or while running by `synthetic-faults.json` in the state directory.
public struct Faults: Sendable, Equatable {
  /// `readyz` says no, and why.
  public var notReady = false
  /// Refuse to start, as with a broken config.
  public var exit78 = false
  /// Stop with this exit code as soon as the port is open.
  public var exitAfterStart: Int32?
  /// Accept connections and answer nothing.
  public var hang = false
  /// Milliseconds before every answer.
  public var slowMilliseconds: Int64 = 0
  /// Every shared token mismatches.
  public var wrongToken = false
  /// Cut the connection right after hello-ok.
  public var drop = false
  /// Run, but never open the port.
  public var neverListen = false
  /// Every call of a model fails.
  public var modelFails = false
  /// Do not react to SIGTERM.
  public var ignoreTerm = false

  public init() {}

  /// Reads `KIND` or `KIND=ARGUMENT` words, separated by commas or white space.
  ///
  /// - Throws: `UnknownFault` for a word that is none.
  public init(words text: String) throws(UnknownFault) {
    for word in text.split(whereSeparator: { $0 == "," || $0.isWhitespace }) { try add(String(word)) }
  }

  /// A fault that this stand-in does not know.
  public struct UnknownFault: Error, CustomStringConvertible {
    public let word: String
    public var description: String { "unknown fault: \(word)" }
  }

  public mutating func add(_ word: String) throws(UnknownFault) {
    let parts = word.split(separator: "=", maxSplits: 1).map(String.init)
    let argument = parts.count == 2 ? parts[1] : nil
    switch (parts.first, argument) {
    case ("notReady", nil): notReady = true
    case ("exit78", nil): exit78 = true
    case ("exit", let code?):
      guard let code = Int32(code) else { throw UnknownFault(word: word) }
      exitAfterStart = code
    case ("hang", nil): hang = true
    case ("slow", let milliseconds?):
      guard let milliseconds = Int64(milliseconds) else { throw UnknownFault(word: word) }
      slowMilliseconds = milliseconds
    case ("wrongToken", nil): wrongToken = true
    case ("drop", nil): drop = true
    case ("neverListen", nil): neverListen = true
    case ("modelFails", nil): modelFails = true
    case ("ignoreTerm", nil): ignoreTerm = true
    default: throw UnknownFault(word: word)
    }
  }
}

/// The faults in force: those told at the start, and those in the file, read anew at every question.
struct FaultSource: Sendable {
  var told: Faults
  var file: String

  /// The file holds an array of words, or an object `{"slow": 100, "notReady": true}`. A file that cannot be read tells
  /// nothing: a test that is writing it must not change what happens half way.
  var current: Faults {
    guard let value = try? StateFile.read(file) else { return told }
    var faults = told
    for word in Self.words(value) {
      do { try faults.add(word) } catch { continue }
    }
    return faults
  }

  private static func words(_ value: JSONValue) -> [String] {
    if let words = value.arrayValue { return words.compactMap(\.stringValue) }
    return (value.objectValue ?? [:]).compactMap { key, value in
      if let flag = value.boolValue { return flag ? key : nil }
      return value.intValue.map { "\(key)=\($0)" }
    }
  }
}
