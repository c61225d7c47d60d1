# What the programs say of themselves: how shells complete their options and commands, and the JSON
# Schema of the configuration. Not where they cannot be run, in a build for another machine.

bashcompletiondir = $(datadir)/bash-completion/completions
zshcompletiondir = $(datadir)/zsh/site-functions
fishcompletiondir = $(datadir)/fish/vendor_completions.d
schemadir = $(datadir)/bridled

if !CROSS_COMPILING
bashcompletion_DATA = completion/bash/bridled completion/bash/bridlectl
zshcompletion_DATA = completion/zsh/_bridled completion/zsh/_bridlectl
fishcompletion_DATA = completion/fish/bridled.fish completion/fish/bridlectl.fish
schema_DATA = completion/bridled.schema.json
CLEANFILES += $(bashcompletion_DATA) $(zshcompletion_DATA) $(fishcompletion_DATA) $(schema_DATA)
endif

BRIDLED = src/bridled$(EXEEXT)
BRIDLECTL = src/bridlectl$(EXEEXT)
SAID = $(AM_V_GEN)$(MKDIR_P) $(@D) && said() { "$$@" >$@.new && mv -f $@.new $@; } && said

completion/bash/bridled: $(BRIDLED)
	$(SAID) $(BRIDLED) --completion bash
completion/zsh/_bridled: $(BRIDLED)
	$(SAID) $(BRIDLED) --completion zsh
completion/fish/bridled.fish: $(BRIDLED)
	$(SAID) $(BRIDLED) --completion fish
completion/bash/bridlectl: $(BRIDLECTL)
	$(SAID) $(BRIDLECTL) --completion bash
completion/zsh/_bridlectl: $(BRIDLECTL)
	$(SAID) $(BRIDLECTL) --completion zsh
completion/fish/bridlectl.fish: $(BRIDLECTL)
	$(SAID) $(BRIDLECTL) --completion fish
completion/bridled.schema.json: $(BRIDLED)
	$(SAID) $(BRIDLED) --schema
