import ArgumentParser
import Basics
import Client
import Credentials
import Fleet
import Foundation
import Web
import Work

extension CredentialCommands {
  struct Rotate: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      abstract: "Let another value take the place of the one that counts, or a real one that of a fixture.",
      discussion: """
        Step by step: the new value is kept beside the old one, shown to its vendor, and only then used; the Instances
        of the Org start anew with it. Until the old one is forgotten every step goes back by itself when one fails.
        The value is read as by 'set'. --dry-run says what would be touched.
        """)

    @OptionGroup var place: Place
    @Option(help: "A file that holds the value, or /dev/fd/N, or - for standard input.") var valueFile = "-"
    @Option(name: .customLong("class"), help: "The class of the new value; else that of the old one.")
    var kind: String?
    @Option(help: "The vault to put it into, or that holds it; without it the one that the control plane writes to.")
    var vault: String?
    @Option(help: "The name of the value in that vault.") var key: String?
    @OptionGroup var beside: CredentialCommands.Beside
    @Flag(help: "The new value may belong to another account at the vendor.") var otherAccount = false
    @OptionGroup var waiting: WaitingOptions
    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }

    private struct Body: Encodable, Sendable {
      let `class`: String?
      let value: String?
      let vault: String?
      let key: String?
      let settings: [String: String]
      let otherAccount: Bool
    }

    func run() async throws {
      let value = key == nil ? try CredentialCommands.read(valueFile) : nil
      let body = Body(
        class: kind, value: value?.withText { $0 }, vault: vault, key: key, settings: try beside.settings,
        otherAccount: otherAccount)
      guard let answer = try await act.send(.post, place.path + "/\(place.surface)/rotate", body: body) else { return }
      var operation = try answer.decode(OperationView.self)
      if !waiting.noWait {
        operation = try await WaitingOptions.ended(operation, try act.context.client, json: output.json)
      }
      if let failure = operation.failure { throw failure.error }
      if output.json { return try Console.json(operation) }
      let counts = operation.isFinished ? "counts now" : "is on its way"
      Console.line("The new \(place.surface) of '\(place.org)' \(counts).")
      let old = operation.steps.last?.detail
      if let next = old?["next"]?.stringValue {
        Console.line("  The old one: \(old?["old"]?.stringValue ?? ""). \(next)")
      }
    }
  }

  struct Retire: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      abstract: "Forget the versions that were in use before, once their vendor refuses them.")

    @OptionGroup var place: Place
    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }

    func run() async throws {
      try await act.tell(.post, place.path + "/\(place.surface)/retire") { answer in
        let versions = (answer["retired"]?.arrayValue ?? []).compactMap(\.intValue).map(String.init)
        return "The vendor refuses version \(versions.joined(separator: ", ")); it is forgotten."
      }
    }
  }
}
