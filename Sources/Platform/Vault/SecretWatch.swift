import Basics
import Foundation
import Hygiene
import Synchronization

/// Looks for every value of the vault, present and recently retired, in what is about to be written. Values stay in
/// this room: what leaves it are references and places.
///
/// It may be asked from any thread. It reads the file again when that was replaced, by whatever process, and then opens
/// only what is new.
public final class SecretWatch: Sendable {
  static let purpose = "hygiene"

  /// What it knows, in numbers.
  public struct Standing: Sendable, Equatable {
    /// Values that are looked for.
    public let values: Int
    /// Values that are not, by reference: they are too short or too plain to be told from chance.
    public let tooPlain: [String]
  }

  private struct State {
    var scanner: ExactScanner
    var stamp: Vault.Stamp?
    /// What each entry was when it was compiled.
    var sealed: [SecretReference: Data] = [:]
    var tooPlain: Set<String> = []
  }

  private let path: String
  private let key: VaultKey
  private let state: Mutex<State>

  init(path: String, key: VaultKey) {
    self.path = path
    self.key = key
    state = Mutex(State(scanner: ExactScanner(key: key.derived(for: SecretWatch.purpose))))
  }

  /// - Throws: `vaultUnreadable` when the file cannot be read: then nothing can be said of the bytes.
  public func scan(_ bytes: [UInt8]) throws -> ExactScanner.Result { try current().scan(bytes) }

  /// The scanner as it is now, for many texts. It holds no value.
  ///
  /// - Throws: `vaultUnreadable`, as `scan`.
  public func current() throws -> ExactScanner {
    try state.withLock { state in
      try refresh(&state)
      return state.scanner
    }
  }

  /// - Throws: `vaultUnreadable`, as `scan`.
  public func standing() throws -> Standing {
    try state.withLock { state in
      try refresh(&state)
      return Standing(values: state.scanner.values, tooPlain: state.tooPlain.sorted())
    }
  }

  /// Looks from now on for a value that lies elsewhere, such as in an external vault, and passed through this process.
  public func learn(_ secret: Secret, as name: String) {
    state.withLock { state in
      if !state.scanner.insert(secret, as: name) { state.tooPlain.insert(name) }
    }
  }

  /// The vault has written this file. What cannot be taken in now is read again with the next question.
  func take(_ file: VaultFile, _ stamp: Vault.Stamp) {
    state.withLock { state in
      // Before the first question nothing is compiled: most programs ask none.
      guard state.stamp != nil else { return }
      if (try? update(&state, file)) != nil { state.stamp = stamp }
    }
  }

  private func refresh(_ state: inout State) throws {
    let stamp = Vault.stamp(of: path)
    guard stamp != state.stamp || stamp == nil && !state.sealed.isEmpty else { return }
    let (file, read) = try Vault.read(path, key: key)
    try update(&state, file)
    state.stamp = read
  }

  /// Opens what is new, and nothing else.
  private func update(_ state: inout State, _ file: VaultFile) throws {
    for (reference, entry) in file.entries where state.sealed[reference] != entry.sealed {
      if reference == RetiredForms.reference {
        for value in try RetiredForms(of: file).values { state.scanner.insert(value.forms, as: value.reference) }
      } else if let secret = try file.open(reference), !state.scanner.insert(secret, as: reference.text) {
        state.tooPlain.insert(reference.text)
      }
      state.sealed[reference] = entry.sealed
    }
  }
}
