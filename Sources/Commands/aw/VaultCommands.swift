import ArgumentParser
import Basics
import Client
import Credentials
import Deployment
import Vault
import Web

struct VaultCommands: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "vault", abstract: "The sealed file of secrets of a control plane.",
    subcommands: [RotateKey.self, RotateSealingKey.self])

  struct RotateKey: ParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      commandName: "rotate-key", abstract: "Give the vault another key, while its control plane stands still.",
      discussion: """
        The secrets stay what they are; only what seals them changes. Interrupted at any point, the vault opens with the
        old key or the new one at the next start. Keep a copy of the new key file where you kept the old one.
        """)

    @Option(help: ArgumentHelp(HelpWords.data, valueName: "dir"), completion: .directory) var data: String?
    @Option(help: "The folder of the vault, when it is not the data directory.", completion: .directory)
    var vault: String?
    @OptionGroup var rehearsal: RehearsalOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
      let directory = try DataDirectory(data ?? DefaultDirectory.path, vault: vault)
      let report = try directory.rotateVaultKey(dryRun: rehearsal.dryRun)
      let count = Console.count(report.secrets, "secret")
      if rehearsal.dryRun {
        let steps = [
          "Make a new key beside \(directory.vaultKey).", "Seal the data keys of \(count) with it.",
          "Put it in the place of the key \(report.oldKey).",
        ]
        return try Console.show(
          Plan(act: "vault rotate-key", subject: directory.vault, steps: steps), json: output.json)
      }
      if output.json {
        return try Console.json(
          [
            "secrets": .integer(Int64(report.secrets)), "oldKey": .string(report.oldKey),
            "newKey": .string(report.newKey),
          ] as JSONValue)
      }
      Console.line("\(count) of \(directory.vault): sealed by the key \(report.newKey), no longer by \(report.oldKey).")
      Console.line("Keep a copy of \(directory.vaultKey) apart from the vault.")
    }
  }

  struct RotateSealingKey: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      commandName: "rotate-sealing-key", abstract: "Show browsers another key to seal values to.",
      discussion: "The control plane runs. What was sealed to the former key opens for a day, then that is forgotten.")

    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }

    func run() async throws {
      guard let answer = try await act.send(.post, "/sealing-key/rotate") else { return }
      if output.json { return try Console.json(answer) }
      let view = try answer.decode(SealingKeyView.self)
      Console.line("Browsers seal to the key \(view.key) now. \(view.former) opens until \(view.formerOpensUntil).")
    }
  }
}
