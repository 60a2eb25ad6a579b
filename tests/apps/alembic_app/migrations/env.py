"""How Alembic reaches the database; `__main__` gives it the connection."""

from alembic import context

from alembic_app.models import Base

connection = context.config.attributes["connection"]
# SQLite alters a table by making it anew.
context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
