import ArgumentParser
import Basics
import Client
import Fleet
import Foundation
import Web

struct PathCommands: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "path", abstract: "Control paths: how each Instance is reached.",
    subcommands: [Show.self, Check.self, Switch.self])

  struct Show: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(abstract: "Show the path of an Instance and its newest check.")

    @Argument(help: ArgumentHelp("The Instance's name.", valueName: "instance")) var slug: Slug
    @OptionGroup var context: ContextOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
      let state = try await context.client.send(.get, "/instances/\(slug)/path", as: PathStateView.self)
      if output.json { return try Console.json(state) }
      Console.line("\(slug)  \(state.path.words)")
      for key in state.path.hostKeys { Console.line("  Host key \(key)") }
      for reference in state.path.references { Console.line("  In the vault: \(reference)") }
      guard let check = state.check else { return Console.line("  Not looked at yet.") }
      PathCommands.show(check)
    }
  }

  struct Check: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      abstract: "Walk over the path now, up to the health report.",
      discussion: "Exit code 3 when something on the way is not right. Nothing is recorded.")

    @Argument(help: ArgumentHelp("The Instance's name.", valueName: "instance")) var slug: Slug
    @OptionGroup var context: ContextOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
      let seen = try await context.client.send(.get, "/instances/\(slug)/path/check", as: PathCheckView.self)
      if output.json {
        try Console.json(seen)
      } else {
        Console.line("\(slug)  \(seen.path.words): \(seen.reached ? "reached" : "not reached")")
        seen.chain.forEach(PathCommands.show)
      }
      if seen.chain.contains(where: { $0.outcome != "passed" }) { throw ExitCode(3) }
    }
  }

  struct Switch: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      abstract: "Switch an Instance to another path, once that is verified.",
      discussion: """
        KIND is aw-gateway, ssh-forward (with --address, --user, --host-keys-file, --key-file) or cloudflared (with \
        --hostname, --client-id-file, --client-secret-file). docs/paths.md has the rest. The new path is walked first; \
        if it does not lead to the Instance, nothing changes. Secrets are read from files or descriptors, never from \
        the command line.
        """)

    @Argument(help: ArgumentHelp("The Instance's name.", valueName: "instance")) var slug: Slug
    @Argument(help: "aw-gateway, ssh-forward or cloudflared.") var kind: String
    @Option(help: "ssh-forward: the address of the Host's ssh server.") var address: String?
    @Option(help: "The port; without it 22 of ssh-forward, 443 of cloudflared.") var port: Int?
    @Option(help: "ssh-forward: the user on the Host.") var user: String?
    @Option(help: "ssh-forward: a file of the server's public host keys, read on the Host itself.")
    var hostKeysFile: String?
    @Option(help: "ssh-forward: a file that holds the private key, or /dev/fd/N, or - for standard input.")
    var keyFile: String?
    @Option(help: "cloudflared: the Instance's public hostname.") var hostname: String?
    @Option(help: "cloudflared: a file that holds the service token's client id, or /dev/fd/N, or -.")
    var clientIdFile: String?
    @Option(help: "cloudflared: a file that holds its client secret, or /dev/fd/N, or -.") var clientSecretFile: String?
    @Option(
      help: "cloudflared: a file that holds a tunnel's credentials, or /dev/fd/N, or -: the Host then runs cloudflared."
    )
    var tunnelCredentialsFile: String?
    @Option(help: "cloudflared: a PEM file of the authority to trust instead of the machine's roots.")
    var caFile: String?
    @Option(help: "cloudflared: a private address range that the hostname may be in; may be repeated.")
    var allowPrivate: [String] = []
    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }

    func run() async throws {
      let body = FleetRoutes.PathBody(kind: kind, ssh: try ssh(), cloudflared: try cloudflared())
      try await act.tell(.post, "/instances/\(slug)/path", body: body) { answer in
        "'\(slug)' is reached by \(try answer.decode(PathStateView.self).path.words)."
      }
    }

    private func ssh() throws -> FleetRoutes.PathBody.SSH? {
      guard kind == "ssh-forward" else { return nil }
      return .init(
        address: try needed("--address", address), port: port, user: try needed("--user", user),
        hostKeys: try text(try needed("--host-keys-file", hostKeysFile)),
        key: try text(try needed("--key-file", keyFile)))
    }

    private func cloudflared() throws -> FleetRoutes.PathBody.Cloudflared? {
      guard kind == "cloudflared" else { return nil }
      return .init(
        hostname: try needed("--hostname", hostname), port: port, authority: try caFile.map(text),
        allowsPrivate: allowPrivate, clientID: try text(try needed("--client-id-file", clientIdFile)),
        clientSecret: try text(try needed("--client-secret-file", clientSecretFile)),
        tunnelCredentials: try tunnelCredentialsFile.map(text))
    }

    private func needed(_ option: String, _ value: String?) throws -> String {
      guard let value else {
        throw AWError(
          .usage, "A path of the kind \(kind) needs \(option).", next: "See 'aw path switch --help' and docs/paths.md.")
      }
      return value
    }

    private func text(_ path: String) throws -> String {
      try SecretFile.read(path == "-" ? "/dev/stdin" : path).withText { $0 }
    }
  }

  private static func show(_ check: CheckView) {
    let what = check.message.map { "  \($0)" } ?? ""
    Console.line("  \(check.title.column(18)) \(check.outcome), \(check.durationMilliseconds) ms\(what)")
    if let next = check.next { Console.line("    → \(next)") }
  }
}
